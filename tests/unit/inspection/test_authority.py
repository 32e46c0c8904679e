import pytest

from aos.inspection.authority import FurtherHosts
from aos.inspection.hosts import HostError


def behind(text: str, *, alone: bool = True) -> set[str]:
    start = text.index("//") + 2
    url = text.index("http") if "http" in text else start - 2
    return {host.name for host in FurtherHosts(text).behind(url, start, alone=alone)}


@pytest.mark.parametrize("character", [*"'\"{}|^`<>\\", "\v", "\x1f", "\u3000"])
def test_attack_14_a_host_behind_an_at_sign_is_read_past_whatever_some_programs_stop_at(
    character: str,
) -> None:
    assert "b.example" in behind(f"see http://a.example{character}@b.example/x")
    assert "b.example" in behind(f"see http://a.example{character}x@y@b.example:80")


@pytest.mark.parametrize(
    "before", ["", " ", "x\n", "url: ", "url=", '{"u":"', '{"u": " ', "<u>", "| ", "a,", "'", "`"]
)
def test_attack_14_blanks_belong_to_a_url_that_stands_alone_or_in_quotes(before: str) -> None:
    assert "10.0.0.1" in behind(f"{before}http://a.example @10.0.0.1/")
    assert "b.example" in behind(f"{before}http://a.example is @ b.example")


@pytest.mark.parametrize("before", ["see ", "see, ", "x; ", "(", "* "])
def test_in_prose_a_blank_ends_a_url(before: str) -> None:
    assert behind(f"{before}http://a.example cc @anna") == set()


@pytest.mark.parametrize(
    "text",
    [
        'see "http://a.example" or mail a@b.example',
        "<u>http://a.example</u> @anna",
        "http://a.example \n@anna",
        "http://a.example is it. Mail us, please",
        "http://a.example is it/@anna",
        '{"u":"http://a.example","by":"@anna","at":"[12:30]","ids":[1,0.5]}',
        '["http://a.example","report.pdf"]',
        "'http://a.example'@",
    ],
)
def test_what_no_program_takes_for_a_host_is_none(text: str) -> None:
    assert behind(text) == set()


def test_attack_14_a_longer_name_is_read_past_whatever_some_programs_stop_at() -> None:
    assert behind("http://a.example'.B.example/") == {"a.example'.b.example"}
    assert behind("http://a.example'x.b.example\"c.d.example:80/") == {
        "a.example'x.b.example",
        "a.example'x.b.example\"c.d.example",
    }
    assert behind("(http://a.example'.b.example)") == {"a.example'.b.example"}
    assert behind("http://'10.0.0.1/") == {"'10.0.0.1"}


def test_attack_14_an_address_in_brackets_is_read_wherever_it_stands() -> None:
    assert behind("http://a.example'[::1]/") == {"::1"}
    assert behind("http://a.example'x@[fe80::1%25eth0]:80/") == {"fe80::1"}
    assert behind("http://a.example'[10.0.0.1]/") == {"10.0.0.1"}
    assert behind("http://a.example'[b.example]/") == {"b.example"}


def test_what_can_not_be_judged_is_an_error() -> None:
    with pytest.raises(HostError, match="octal"):
        behind("http://a.example'@010.0.0.1/")
    with pytest.raises(HostError, match="brackets"):
        behind("http://a.example'@[::1/")
    with pytest.raises(HostError, match="too many ways"):
        behind("http://a.example'" + "@" * 1_000)


def test_blanks_belong_to_no_reference_that_is_not_said_to_be_alone() -> None:
    assert behind("//a.example @b.example", alone=False) == set()
    assert behind("//a.example @b.example") == {"b.example"}


def test_what_was_searched_for_one_url_is_right_for_the_next() -> None:
    text = 'http://a.example"http:b.example\'@c.example"/x'
    hosts = FurtherHosts(text)
    assert {host.name for host in hosts.behind(0, 7)} == set()
    assert {host.name for host in hosts.behind(17, 22)} == {"c.example"}
