import pytest

from aos.store.cells import (
    COUNTER,
    LEASE,
    WRITE,
    Cells,
    OpenCall,
    OpenWrite,
    decode_call,
    decode_lease,
    encode_call,
)
from aos.store.ledger import admit
from tests.unit.store.make import admission, charge, check, lease, owned

NOW = 1_800_000_000_000


def admitted() -> Cells:
    cells = Cells(60)
    cells.put_absent([COUNTER + "budget", COUNTER + "loop", LEASE + "contact/1", WRITE + "write"])
    admit(cells, admission(charge(), owned("a-uid"), call="c", lease=lease(), duplicates=(check(),)), NOW)
    return cells


def test_what_a_transaction_changed_is_read_as_it_was_written() -> None:
    cells, again = admitted(), Cells(60)
    stored = {cell.key: cell for cell in cells.changed(NOW)}
    assert set(stored) == {"counter:budget", "counter:loop", "lease:contact/1", "write:write"}
    assert stored["counter:loop"].owner == stored["lease:contact/1"].owner == "a-uid"
    for cell in stored.values():
        assert cell.value is not None
        again.put(cell.key, cell.owner, cell.value, cell.result)
    assert again.leases == cells.leases
    assert again.writes == cells.writes
    assert again.counters["budget"].encode() == cells.counters["budget"].encode()


def test_an_open_call_is_read_as_it_was_written() -> None:
    call = OpenCall(NOW, [("budget", NOW + 1, 2)], "r", 3, [OpenWrite("w", 4, "uid")], "t", "a")
    assert decode_call(encode_call(call)) == call


def test_what_did_not_happen_is_forgotten_and_earlier_calls_are_not() -> None:
    cells = admitted()
    cells.settled(100)
    cells.counters["budget"].charge(NOW, 60, 5)
    cells.opened["d"] = cells.calls["d"] = OpenCall(NOW, [])
    cells.undo()
    assert list(cells.calls) == ["c"]
    assert not cells.counters
    assert not list(cells.changed(NOW))


def test_what_is_remembered_is_bounded() -> None:
    cells = admitted()
    cells.settled(2)
    assert not cells.counters
    assert list(cells.calls) == ["c"]
    cells.settled(0)
    assert not cells.calls


def test_a_write_is_not_remembered_with_its_answer() -> None:
    cells = admitted()
    cells.settled(100)
    assert "write" not in cells.writes
    assert "contact/1" in cells.leases


def test_what_others_changed_is_read_again() -> None:
    cells = admitted()
    cells.drop([COUNTER + "budget", LEASE + "contact/1", WRITE + "write", COUNTER + "unknown"])
    assert list(cells.counters) == ["loop"]
    assert not cells.leases
    assert not cells.writes


def test_damaged_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="an open call is damaged"):
        decode_call('{"expires_ms": 1}')
    with pytest.raises(ValueError, match="a lease is damaged"):
        decode_lease("[]")
    with pytest.raises(ValueError, match="a write is damaged"):
        Cells(60).put(WRITE + "w", "", "{}", None)
    with pytest.raises(ValueError, match="of no known kind"):
        Cells(60).put("other:w", "", "{}", None)
