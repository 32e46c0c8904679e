import pytest
from pydantic import JsonValue

from aos.inspection.urls import check_urls
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
    "localhost", "localhost:8080", "crm.sales.svc", "crm.sales.svc.cluster.local:80/mcp", "metadata.google.internal/x",
]  # fmt: skip
PASSED = [
    "https://example.com/a?b=c", "see https://bücher.example/x, ok", "https://example.com.", "https://8.8.8.8/", "8.8.8.8",
    "report.pdf", "a: b", "12:30:45", "// comment", "C:\\dir\\x", "mailto:a@b.example", "and/or", "use http:// or https://",
    "the ratio is 3:4", "urn:isbn:123", "Re: file: x", "data is: here", "100%", "1.2.3", "key=value", "std::vector", "",
    "a//b", "\\d+",
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
        ("report.pdf", lists(("example.com",)), True),
        ("file:///x", lists(("x",)), False),
    ],
)
def test_with_lists_a_host_must_match_in_each_and_inside_ones_by_their_very_name(
    url: str, allowed: frozenset[frozenset[str]], *, passes: bool
) -> None:
    assert (check_urls({"url": url}, allowed) is None) is passes


@pytest.mark.parametrize("text", ["http://a.example/", "http:", "a", "//a.example", "x://"])
def test_long_texts_are_judged_in_linear_time(text: str) -> None:
    check_urls({"url": text * (400_000 // len(text))}, NONE)
