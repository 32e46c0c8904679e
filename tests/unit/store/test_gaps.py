from aos.audit.marks import Gap
from aos.store.gaps import DeletedRow, deleted_row, runs


def row(chain: str, sequence: int) -> DeletedRow:
    return DeletedRow(chain, sequence, bytes([sequence - 1]), bytes([sequence]))


def test_neighbours_are_one_gap_and_others_their_own() -> None:
    rows = [row("a", 3), row("a", 1), row("b", 4), row("a", 2), row("a", 5)]
    assert runs(rows) == [
        Gap("a", 1, 3, "00", "03"),
        Gap("a", 5, 5, "04", "05"),
        Gap("b", 4, 4, "03", "04"),
    ]
    assert runs([]) == []


def test_a_rows_number_says_its_chain_and_place() -> None:
    assert deleted_row((2 * 2**40 + 7, b"p", b"h", 0), {2: "two"}, 2**40) == DeletedRow("two", 7, b"p", b"h")
