import pytest

from aos.store.interface import MemoryConflict, MemoryPut, MemoryValue
from aos.store.memory import cell_of, conflict_of, value_of

PUT = MemoryPut("k", "", "sales", b"1", 60)


def test_versions_grow_even_where_the_clock_goes_back() -> None:
    _, first = cell_of(PUT, None, 1_000)
    assert (first.version, first.expires_at) == (1_000, 61)
    _, second = cell_of(PUT, first, 900)
    assert second.version == 1_001
    _, third = cell_of(PUT, second, 5_000)
    assert third.version == 5_000


def test_a_row_gives_back_what_it_was_made_from() -> None:
    cell, kept = cell_of(PUT, None, 1_000)
    row = (cell.value, cell.expires_ms, cell.result)
    assert value_of([row], 60_999) == kept
    assert value_of([row], 61_000) is None
    assert value_of([], 0) is None


@pytest.mark.parametrize(
    ("there", "asked", "conflict"),
    [
        (0, None, None),
        (0, 0, None),
        (0, 4, MemoryConflict(0)),
        (4, None, None),
        (4, 4, None),
        (4, 0, MemoryConflict(4)),
    ],
)
def test_a_change_for_one_version_is_made_to_that_one_alone(
    there: int, asked: int | None, conflict: MemoryConflict | None
) -> None:
    assert conflict_of(MemoryValue(b"", there, 1) if there else None, asked) == conflict


@pytest.mark.parametrize("damaged", ["", "[]", "{}", "null"])
def test_a_row_that_something_else_wrote_is_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match="damaged"):
        value_of([(damaged, 10, b"")], 1)
