import pytest
from pydantic import ValidationError

from aos.inspection.hosts import HostError, lists_exactly, matches, numeric_readings, parse_host
from aos.model.bounds import Urls

INSIDE = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0x7f.00.0x0.01", "0", "0.0.0.0",  # noqa: S104 - to be refused
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "169.254.43518", "100.64.0.1", "100.100.100.200",
    "168.63.129.16", "224.0.0.1", "255.255.255.255", "[::1]", "[::]", "[fe80::1%25eth0]", "[fd00:ec2::254]",
    "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[2001:0:4136:e378:8000:63bf:80ff:fffe]", "[fe80::5efe:10.0.0.1]",
    "localhost", "LOCALHOST.", "a.localhost", "metadata", "metadata.google.internal", "kubernetes", "kubernetes.default",
    "crm.sales.svc", "crm.sales.svc.cluster.local.", "printer.local", "127.0.0.1.nip.io", "localtest.me",
    "\uff11\uff12\uff17.\uff10.\uff10.\uff11", "169。254。169。254", "%31%32%37.0.0.1", "ⓛocalhost", "127.0.0.1.",
]  # fmt: skip
OUTSIDE = [
    "example.com",
    "8.8.8.8",
    "[2001:4860:4860::8888]",
    "bücher.example",
    "my_bucket.s3.example.com",
    "134744072",
]


@pytest.mark.parametrize("text", INSIDE)
def test_attack_14_inside_hosts_are_known_in_every_notation(text: str) -> None:
    assert parse_host(text).inside


@pytest.mark.parametrize("text", OUTSIDE)
def test_other_hosts_are_not_inside(text: str) -> None:
    assert parse_host(text).inside == ""


@pytest.mark.parametrize(
    "text", ["010.0.0.1", "0177.0.0.1", "017700000001", "8.8.8.010", "08.1.1.1", "0x8.010"]
)
def test_attack_14_an_address_that_is_another_where_a_leading_zero_is_octal_is_no_host(text: str) -> None:
    with pytest.raises(HostError, match="octal to some programs and decimal to others"):
        parse_host(text)


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("010.0.0.1", {"8.0.0.1", "10.0.0.1"}),
        ("0177.1", {"127.0.0.1", "177.0.0.1"}),
        ("017700000001", {"127.0.0.1"}),
        ("0x7f.1", {"127.0.0.1"}),
        ("08.1.1.1", {"8.1.1.1"}),
        ("1.2.3.4.5", set()),
        ("256.1.1.1", set()),
        ("1.2.3.x", set()),
        ("9" * 5000, set()),
    ],
)
def test_numbers_are_read_as_each_kind_of_program_does(text: str, readings: set[str]) -> None:
    assert {str(address) for address in numeric_readings(text)} == readings


@pytest.mark.parametrize("letter", ["\u00df", "\u1e9e", "%C3%9F", "\u03c2", "\u200d", "\u200c"])
def test_attack_14_a_name_that_is_another_under_each_idna_is_no_host(letter: str) -> None:
    with pytest.raises(HostError, match="two different names: write it as xn--"):
        parse_host(f"fa{letter}.example")
    assert parse_host("xn--fa-hia.example").name == "xn--fa-hia.example"


def test_a_list_can_not_hold_a_name_that_is_another_under_each_idna() -> None:
    with pytest.raises(ValidationError, match="allowHosts"):
        Urls.model_validate({"allowHosts": ["fa\u00df.example"]})
    assert Urls.model_validate({"allowHosts": ["xn--fa-hia.example"]}).allow_hosts == ("xn--fa-hia.example",)


@pytest.mark.parametrize(
    "text",
    ["", ".", "[::1", "[::1]x", "[nonsense]", "1.2.3.4.5", "256.1.1.1", "08.1.1.1", "a..b", "-a.example", "a b.example",
     "a" * 64 + ".example", "1.2.3.0x100", "4294967296", "xn--\u00fc.example"],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_is_no_host(text: str) -> None:
    with pytest.raises(HostError):
        parse_host(text)


def test_a_host_has_one_form() -> None:
    assert parse_host("BÜCHER.Example.").name == "xn--bcher-kva.example"
    assert parse_host("0x08080808").name == "8.8.8.8"
    assert parse_host("[2001:4860:4860:0:0:0:0:8888]").name == "2001:4860:4860::8888"


def test_patterns_name_hosts_and_all_below_a_name() -> None:
    host = parse_host("api.example.com")
    assert matches(host, frozenset({"*.example.com"}))
    assert matches(host, frozenset({"API.example.com."}))
    assert not matches(host, frozenset({"example.com", "*.api.example.com", "*.ample.com"}))
    assert not matches(parse_host("example.com"), frozenset({"*.example.com"}))


def test_addresses_are_listed_by_value() -> None:
    assert lists_exactly(parse_host("0x0a000001"), frozenset({"10.0.0.1"}))
    assert lists_exactly(parse_host("[2001:db8:0::1]"), frozenset({"2001:db8::1"}))
    assert not matches(parse_host("10.0.0.1"), frozenset({"*.0.0.1", "example.com"}))
