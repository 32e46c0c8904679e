import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.inspection.urls import check_urls
from tests.unit.inspection.readers import LISTED, leads_astray, lenient, rfc, whatwg
from tests.unit.inspection.test_hosts import INSIDE

NONE: frozenset[frozenset[str]] = frozenset()
REFUSED = [
    "http://10.0.0.1", "HTTP://LOCALHOST:8080/x", "see http://169.254.169.254.", "(http://127.0.0.1),", "ws://[::1]:1/",
    "http://u:p@example.com/", "http://example.com@evil.example", "http://example.com%40evil.example/",
    "http://example.com\\@evil.example", "http:\\\\127.0.0.1", "http:/127.0.0.1", "http:127.0.0.1", "http:///127.0.0.1",
    "ht\ntp://127.0.0.1", "\thttp://127.0.0.1", "//169.254.169.254/x", "\\\\10.0.0.1\\share", "src=//10.0.0.1/x",
    "http%3A%2F%2F169.254.169.254%2F", "http%253A%252F%252F10.0.0.1", "https://example.com/?u=http://10.0.0.1/",
    "https://example.com/?u=http%3A%2F%2F10.0.0.1", "h\u200bttp://127.0.0.1", "\uff48ttp://127.0.0.1", "\\u0068ttp://127.0.0.1",
    "file:///etc/passwd", "FILE:/etc/passwd", "gopher://example.com/", "dict://example.com", "ldap://example.com",
    "jar:http://example.com!/", "url:file:///etc/passwd", "data:text/html,x", "javascript:alert(1)", "php://filter",
    "s3://bucket/key", "foo://crm/x", "http://kubernetes", "http://a..b/", "http://1.2.3.4.5/",
    "169.254.169.254", "169.254.169.254/latest/meta-data", "10.0.0.1:80/x", "[::1]:80", "::1", "fd00::1",
    "http://example.com'@127.0.0.1/", "http://example.com @127.0.0.1/", "see http://example.com}@127.0.0.1/", "http://'@127.0.0.1/",
    "http:'@127.0.0.1/", "http: @127.0.0.1/", "//example.com'@127.0.0.1/", "//'@127.0.0.1", "src=//x@localhost/",
    "src=//x'@127.0.0.1/",
    "http://example.com'.localhost/", "http://example.com'[::1]/", "http://010.0.0.1/", "http://fa\u00df.example/",
    "0177.0.0.1", "010.0.0.1", "0x7f.1", "0177.1", "127.1:80", "127.1/latest", "u@127.1", "127.0.0.1.nip.io",
    "a.10.0.0.1.sslip.io:80/x", "a@10.0.0.1@example.com/", "a@example.com@10.0.0.1", "kubernetes.default",
    "kubernetes.default:443/api", "root@localhost", "u@x.internal/latest", "printer.lan", "localhost.localdomain", "lvh.me",
    "127.0.0.0x", "0xa9.254.169.254", "0.0.0.0", "-a.127.0.0.1.nip.io", "0251.0376.0251.0376", "10.0.0.0/8", "127.0.0.1:/x",  # noqa: S104 - to be refused
    "127.0.0.1:000080/",
    "localhost", "localhost:8080", "crm.sales.svc", "crm.sales.svc.cluster.local:80/mcp", "metadata.google.internal/x",
]  # fmt: skip
PASSED = [
    "https://example.com/a?b=c", "see https://bücher.example/x, ok", "https://example.com.", "https://8.8.8.8/", "8.8.8.8",
    "report.pdf", "a: b", "12:30:45", "// comment", "C:\\dir\\x", "mailto:a@b.example", "and/or", "use http:// or https://",
    "the ratio is 3:4", "urn:isbn:123", "Re: file: x", "data is: here", "100%", "1.2.3", "key=value", "std::vector", "",
    "127.1", "10.5", "0.5", "10.0.1", "10.5/12", "0.5:1", "10.02.2024", "00.30", "10.0x", "10.025", "10.050.000", "0.1.2.3",
    "10.0.19041.1", "node@10.1", "alice@team.internal", "bob@corp.lan", "settings.default", "app.local", ".env.local:3",
    "2130706433", "0x7f000001", "metadata/labels", "kubernetes", "user@host", "[1.5]", "1.2.3.4.5", "0x1.8p3", "x/@10.0.0.1",
    "a@b@c",
    "a//b", "\\d+", "http://example.com is it, mail a@b.example", "see http://example.com cc @anna", "// @ts-check",
    "x = 1 //TODO @anna",
    '{"u":"http://example.com","by":"@anna","mail":"a@b.example"}', 'see "http://example.com" or mail a@b.example',
    "use http: or https: @anna", "<a href='http://example.com'>@ anna</a>",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
@pytest.mark.parametrize("place", ["value", "key", "deep"])
def test_attack_14_urls_that_lead_inside_are_refused_wherever_they_stand(text: str, place: str) -> None:
    values: dict[str, JsonValue] = {"value": text, "key": {text: 1}, "deep": {"a": [1, {"b": [text]}]}}
    assert check_urls(values[place], NONE) is not None


@pytest.mark.parametrize("host", INSIDE)
def test_attack_14_inside_hosts_are_refused_in_every_notation(host: str) -> None:
    assert check_urls({"url": f"https://{host}/x"}, NONE) is not None
    assert check_urls({"url": f"https://{host}:8443/x"}, NONE) is not None


@pytest.mark.parametrize("text", PASSED)
def test_other_text_passes(text: str) -> None:
    assert check_urls({"a": text, "b": 1, "c": None}, NONE) is None


@pytest.mark.parametrize("user", ["", "@", "u@", "u:p@", "x y@", "a@b.example@"])
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "169.254.169.254", "0177.0.0.1", "0x7f.1", "127.0.0.1.", "[::1]", "localhost", "127.0.0.1.nip.io", "crm.sales.svc"],
)  # fmt: skip
def test_attack_14_what_a_scheme_would_make_a_url_that_leads_inside_is_refused(user: str, host: str) -> None:
    for behind in ("", ":80", ":", "/x", ":80/x@y", "\\x", "?x", "#x"):
        assert check_urls({"host": f"{user}{host}{behind}"}, NONE) is not None


def test_a_problem_says_where_it_is_and_what_helps() -> None:
    problem = check_urls({"items": [{"url": "http://10.0.0.1/"}]}, NONE)
    assert problem is not None
    assert problem.host == "10.0.0.1"
    assert str(problem).startswith("args.items[0].url: a URL leads to 10.0.0.1: it is not a public address")
    assert "data.urls.allowHosts" in problem.message


def lists(*patterns: tuple[str, ...]) -> frozenset[frozenset[str]]:
    return frozenset(frozenset(each) for each in patterns)


@pytest.mark.parametrize(
    ("url", "allowed", "passes"),
    [
        ("https://api.example.com/", lists(("*.example.com",)), True),
        ("https://example.com/", lists(("*.example.com",)), False),
        ("https://api.example.com/", lists(("*.example.com",), ("api.example.com",)), True),
        ("https://api.example.com/", lists(("*.example.com",), ("other.example",)), False),
        ("http://crm.sales.svc/mcp", lists(("crm.sales.svc",)), True),
        ("http://crm.sales.svc/mcp", lists(("*.sales.svc",)), False),
        ("http://crm.sales.svc/mcp", lists(("crm.sales.svc",), ("*.svc",)), False),
        ("http://10.0.0.1/", lists(("10.0.0.1",)), True),
        ("http://0x0a000001/", lists(("10.0.0.1",)), True),
        ("http://10.0.0.2/", lists(("10.0.0.1",)), False),
        ("10.0.0.1", lists(("10.0.0.1",)), True),
        ("u@10.0.0.1/x", lists(("10.0.0.1",)), True),
        ("0x7f.1", lists(("127.0.0.1",)), True),
        ("010.0.0.1", lists(("10.0.0.1",)), True),
        ("0177.0.0.1", lists(("10.0.0.1",)), False),
        ("report.pdf", lists(("example.com",)), True),
        ("file:///x", lists(("x",)), False),
        ("http://a.example'@b.example/", lists(("a.example",)), False),
        ("http://a.example'@b.example/", lists(("a.example", "b.example")), True),
        ("http://a.example @b.example/", lists(("a.example",)), False),
        ("http://a.example'.b.example/", lists(("a.example", "b.example")), False),
        ("http://a.example'.b.example/", lists(("a.example", "*.b.example")), True),
        ("//a.example\\@b.example/", lists(("a.example",)), False),
        ("http://fa\u00df.example/", lists(("fass.example",)), False),
    ],
)
def test_with_lists_a_host_must_match_in_each_and_inside_ones_by_their_very_name(
    url: str, allowed: frozenset[frozenset[str]], *, passes: bool
) -> None:
    assert (check_urls({"url": url}, allowed) is None) is passes


def test_what_is_read_behind_a_host_is_told_with_the_way_out() -> None:
    problem = check_urls("http://example.com'@10.0.0.1", NONE)
    assert problem is not None
    assert problem.host == "10.0.0.1"
    assert problem.message.endswith(
        "; some programs count what follows a URL's host to it, so put / right after the host"
    )
    problem = check_urls("http://example.com'@010.0.0.1", NONE)
    assert problem is not None
    assert "octal" in problem.message
    assert "put / right after the host" in problem.message


PIECES = st.sampled_from(
    ["http://", "https:", "//", "allowed.example", "evil.example", "127.0.0.1", "010.0.0.1", "0x7f.1", "[::1]", "localhost", "x", "80",
     "see ", "@", "@", ":", ".", "'", '"', " ", "\t", "\n", "\v", "\x01", "\\", "/", "?", "#", "{", "}", "<", ">", "|", "^", "`", "(", ")", "[",
     "]", ",", ";", "=", "%40", "%2e", "%27", "\u00df", "\u200d", "\u3002", "\uff20", "\u3000", "\xa0"]
)  # fmt: skip
STARTS = st.sampled_from(
    ["", "http://allowed.example", "see http://allowed.example", '{"u":"http://allowed.example', "//x"]
)


@settings(max_examples=200)
@given(
    start=STARTS,
    rest=st.lists(PIECES, max_size=7).map("".join),
    stops=st.sets(st.sampled_from("'\"{}<>|^`)")),
    listed=st.booleans(),
)
@example(start="http://allowed.example", rest="'@127.0.0.1/", stops=set(), listed=False)
@example(start="http://allowed.example", rest=" @evil.example/", stops=set(), listed=True)
@example(start="see http://allowed.example", rest="'.evil.example", stops=set(), listed=True)
def test_attack_14_no_program_reads_a_host_in_what_passes_that_it_may_not_reach(
    start: str, rest: str, stops: set[str], *, listed: bool
) -> None:
    text = start + rest
    # Two slashes and a blank begin a comment.
    assume(re.match(r"\s*[/\\]{2,}\s", text) is None)
    if check_urls({"url": text}, lists(tuple(LISTED)) if listed else NONE) is None:
        read = {*rfc(text), *whatwg(text), *lenient(text, "".join(stops))}
        assert not [host for host in read if leads_astray(host, listed=listed)]


@pytest.mark.parametrize(
    "text",
    [
        "http://a.example/",
        "http:",
        "a",
        "//a.example",
        "x://",
        "http:a.b'",
    ],
)
def test_long_texts_are_judged_in_linear_time(text: str) -> None:
    check_urls({"url": text * (400_000 // len(text))}, NONE)
