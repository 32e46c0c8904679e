from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from aos.model.base import JsonObject
from examples.finance import ledger
from tests.unit.examples.mcp_system import SETTINGS, System, answering

INVOICE, CENTS = "INV-2001", 128_050


def lines(debit: int = CENTS, credit: int = CENTS, account: str = "1000") -> list[JsonValue]:
    return [{"account": "2000", "debitCents": debit}, {"account": account, "creditCents": credit}]


@pytest.fixture
async def books() -> AsyncGenerator[ledger.Ledger]:
    made = ledger.Ledger(":memory:")
    yield made
    made.close()


@pytest.fixture
async def system(books: ledger.Ledger) -> AsyncGenerator[System]:
    async with answering(ledger.ledger_app(SETTINGS, books)) as made:
        yield made


async def balance(system: System, account: str) -> JsonValue:
    return (await system.must("get_account", account=account))["balanceCents"]


async def test_an_entry_moves_the_balances_of_both_sides(system: System) -> None:
    entry = await system.must("post_entry", invoice=INVOICE, account="1000", lines=lines())
    assert entry["id"] == "JE-0001"
    assert [await balance(system, account) for account in ("1000", "2000")] == [-CENTS, CENTS]


@pytest.mark.parametrize(
    ("posted", "account", "why"),
    [
        (lines(credit=CENTS - 1), "1000", "must balance"),
        (lines(), "1010", "no line is about account 1010"),
        (lines(account="9999"), "9999", "the books don't allow it"),
        ([{"account": "1000", "debitCents": 1, "creditCents": 1}] * 2, "1000", "not both"),
        ([{"account": "1000"}] * 2, "1000", "not both"),
        (lines()[:1], "1000", "at least 2"),
        (lines(debit=-1, credit=-1), "1000", "greater than or equal to 0"),
    ],
)
async def test_what_breaks_the_books_is_refused_and_leaves_nothing(
    system: System, books: ledger.Ledger, posted: list[JsonValue], account: str, why: str
) -> None:
    assert why in await system.refused("post_entry", invoice=INVOICE, account=account, lines=posted)
    assert books.entries(INVOICE) == []
    assert [await balance(system, name) for name in ("1000", "2000")] == [0, 0]


async def test_an_invoice_is_posted_once(system: System, books: ledger.Ledger) -> None:
    await system.must("post_entry", invoice=INVOICE, account="1000", lines=lines())
    again = await system.refused("post_entry", invoice=INVOICE, account="1000", lines=lines())
    assert "posted already, as JE-0001" in again
    assert len(books.entries(INVOICE)) == 1


async def test_what_is_sent_again_is_posted_once(system: System, books: ledger.Ledger) -> None:
    post: JsonObject = {"invoice": INVOICE, "account": "1000", "lines": lines()}
    for key, action, arguments in (
        ("post", "post_entry", post),
        ("reverse", "reverse_entry", {"entry": "JE-0001"}),
        ("post again", "post_entry", post),
        ("close", "close_invoice", {"invoice": INVOICE, "entry": "JE-0003"}),
    ):
        done = [await replace(system, key=key).must(action, **arguments) for _ in range(2)]
        assert done[0] == done[1]
    assert len(books.entries(INVOICE)) == 3


async def test_a_reversal_puts_the_balances_back_and_leaves_both_entries(
    system: System, books: ledger.Ledger
) -> None:
    await system.must("post_entry", invoice=INVOICE, account="1000", lines=lines())
    reversal = await system.must("reverse_entry", entry="JE-0001")
    assert (reversal["id"], reversal["reverses"]) == ("JE-0002", "JE-0001")
    assert [await balance(system, name) for name in ("1000", "2000")] == [0, 0]
    assert len(books.entries(INVOICE)) == 2


async def test_an_entry_is_reversed_once_and_a_reversal_never(system: System) -> None:
    await system.must("post_entry", invoice=INVOICE, account="1000", lines=lines())
    await system.must("reverse_entry", entry="JE-0001")
    assert "reversed already" in await system.refused("reverse_entry", entry="JE-0001")
    assert "is a reversal itself" in await system.refused("reverse_entry", entry="JE-0002")
    assert "there is no entry" in await system.refused("reverse_entry", entry="JE-0009")


async def test_what_was_reversed_can_be_posted_anew(system: System) -> None:
    for _ in range(2):
        entry = await system.must("post_entry", invoice=INVOICE, account="1000", lines=lines())
        await system.must("reverse_entry", entry=entry["id"])
    assert await balance(system, "1000") == 0


async def test_an_invoice_is_closed_by_the_entry_that_stands_for_it(system: System) -> None:
    assert "does not stand" in await system.refused("close_invoice", invoice=INVOICE, entry="JE-0001")
    await system.must("post_entry", invoice=INVOICE, account="1000", lines=lines())
    assert (await system.must("close_invoice", invoice=INVOICE, entry="JE-0001"))["state"] == "closed"
    assert "is closed" in await system.refused("close_invoice", invoice=INVOICE, entry="JE-0001")


async def test_a_disputed_invoice_is_not_closed(system: System) -> None:
    await system.must("post_entry", invoice="INV-2003", account="1010", lines=lines(51_275, 51_275, "1010"))
    assert "is disputed" in await system.refused("close_invoice", invoice="INV-2003", entry="JE-0001")


async def test_a_payment_is_found_by_the_invoice_that_it_names(system: System, books: ledger.Ledger) -> None:
    found = await system.must("find_payment", invoice=INVOICE)
    assert (found["id"], found["account"], found["cents"]) == ("PAY-7001", "1000", CENTS)
    assert "there is no invoice" in await system.refused("find_payment", invoice="INV-9999")
    [logged] = [access for access in books.log.last() if access.record == "INV-9999"]
    assert logged.action == "find_payment"


def test_the_books_survive_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger.sqlite")
    first = ledger.Ledger(path)
    posted = [ledger.Line.model_validate(line) for line in lines()]
    first.post(INVOICE, "1000", posted)
    first.close()
    second = ledger.Ledger(path)
    assert second.account("1000").balance_cents == -CENTS
    second.close()
