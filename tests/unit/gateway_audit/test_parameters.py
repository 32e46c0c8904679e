import pytest

from aos.gateway.audit.parameters import DEFAULT_ROWS, MAX_QUERY_BYTES, ROWS, audit_query, parameters
from aos.gateway.refusal import Refusal


def test_parameters_become_a_filter() -> None:
    given = parameters(b"namespace=sales&record=contact%2F1&chain=c&after=7&since=2026-01-02T03:04:05Z", ROWS)
    query = audit_query(given)
    assert (query.namespace, query.record, query.chain, query.after_sequence) == (
        "sales",
        "contact/1",
        "c",
        7,
    )
    assert (query.since, query.limit) == ("2026-01-02T03:04:05Z", DEFAULT_ROWS)
    assert audit_query(parameters(b"", ROWS)).namespace == ""


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"agent=a&agent=b", "given twice"),
        (b"agent=a%00b", "U+0000"),
        (b"agent", "can't be read"),
        ("agent=ä".encode(), "can't be read"),
        (b"agents=a", "unknown parameter 'agents'"),
        (b"agent=" + b"a" * MAX_QUERY_BYTES, "more than"),
    ],
)
def test_what_is_no_query_is_refused(raw: bytes, problem: str) -> None:
    with pytest.raises(Refusal) as caught:
        parameters(raw, ROWS)
    assert caught.value.status == 400
    assert problem in caught.value.message


@pytest.mark.parametrize(
    "given",
    [
        {"limit": "-1"},
        {"limit": "1e3"},
        {"limit": "٣"},
        {"limit": "9" * 30},
        {"chain": "c", "after": "x"},
        {"since": "2026-13-01T00:00:00Z"},
    ],
)
def test_a_value_out_of_bounds_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(Refusal):
        audit_query(given)
