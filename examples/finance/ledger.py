"""A small ledger: an MCP server over SQLite that keeps books by double entry, with invoices and what the bank reports.

It knows nothing of AOS. Money is whole cents. An entry is never changed or removed: it is reversed by another one.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from starlette.types import ASGIApp

from examples.common.once import Once
from examples.common.service import AccessLog, Settings, mcp_app, now, opened, run

BOOKS: Final = Path(__file__).with_name("books.json")
MAX_CENTS: Final = 100_000_000_00

SCHEMA: Final = """
CREATE TABLE account (id TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE invoice (
    id TEXT PRIMARY KEY, supplier TEXT NOT NULL, cents INTEGER NOT NULL CHECK (cents > 0), state TEXT NOT NULL
);
CREATE TABLE payment (
    id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES account (id), cents INTEGER NOT NULL CHECK (cents > 0),
    reference TEXT NOT NULL
);
CREATE TABLE entry (
    id INTEGER PRIMARY KEY, time TEXT NOT NULL, invoice TEXT NOT NULL REFERENCES invoice (id),
    reverses INTEGER UNIQUE REFERENCES entry (id)
);
CREATE TABLE line (
    entry INTEGER NOT NULL REFERENCES entry (id), account TEXT NOT NULL REFERENCES account (id),
    debit INTEGER NOT NULL CHECK (debit >= 0), credit INTEGER NOT NULL CHECK (credit >= 0),
    CHECK ((debit = 0) <> (credit = 0))
);
"""

InvoiceId = Annotated[str, Field(pattern=r"^INV-[0-9]{4}$", description="For instance INV-2001")]
AccountId = Annotated[str, Field(pattern=r"^[0-9]{4}$", description="For instance 1000")]
EntryId = Annotated[str, Field(pattern=r"^JE-[0-9]{4,9}$", description="For instance JE-0001")]
Cents = Annotated[int, Field(ge=0, le=MAX_CENTS)]


class Money(BaseModel):
    """Base of what is written in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Invoice(Money):
    """What a supplier asks for."""

    id: str
    supplier: str
    cents: int
    state: Literal["open", "disputed", "closed"]


class Payment(Money):
    """What the bank reports to have paid."""

    id: str
    account: str
    cents: int
    reference: str


class Account(Money):
    """An account with its balance: what was debited less what was credited."""

    id: str
    name: str
    balance_cents: int


class Line(Money):
    """One side of an entry: a debit or a credit, and not both."""

    account: AccountId
    debit_cents: Cents = 0
    credit_cents: Cents = 0

    @model_validator(mode="after")
    def _has_one_side(self) -> Self:
        if (self.debit_cents == 0) == (self.credit_cents == 0):
            raise ValueError("give debitCents or creditCents, and not both")
        return self


class Entry(Money):
    """What was posted."""

    id: str
    invoice: str
    lines: list[Line]
    reverses: str = ""


class Opening(Money):
    """The books at the start."""

    accounts: dict[str, str]
    invoices: list[Invoice]
    payments: list[Payment]


class Ledger:
    """The books in one SQLite file, and the access log."""

    def __init__(self, path: str) -> None:
        self.log = AccessLog()
        self._connection, is_new = opened(path, SCHEMA)
        if is_new:
            self._open(Opening.model_validate(json.loads(BOOKS.read_text(encoding="utf-8"))))

    def _open(self, books: Opening) -> None:
        execute = self._connection.executemany
        execute("INSERT INTO account VALUES (?, ?)", books.accounts.items())
        execute(
            "INSERT INTO invoice VALUES (:id, :supplier, :cents, :state)",
            [invoice.model_dump() for invoice in books.invoices],
        )
        execute(
            "INSERT INTO payment VALUES (:id, :account, :cents, :reference)",
            [payment.model_dump() for payment in books.payments],
        )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All that is written inside holds, or nothing of it does."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except (ToolError, sqlite3.Error) as error:
            self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.IntegrityError):
                raise ToolError(f"the books don't allow it: {error}") from error
            raise
        self._connection.execute("COMMIT")

    def invoice(self, invoice_id: str) -> Invoice:
        """Return one invoice.

        Raises:
            ToolError: there is none with this id.
        """
        row = self._connection.execute("SELECT * FROM invoice WHERE id = ?", (invoice_id,)).fetchone()
        if row is None:
            raise ToolError(f"there is no invoice {invoice_id}")
        return Invoice.model_validate(dict(row))

    def payment(self, invoice_id: str) -> Payment:
        """Return the one payment that names an invoice.

        Raises:
            ToolError: none does, or several do.
        """
        rows = self._connection.execute(
            "SELECT * FROM payment WHERE reference = ?", (self.invoice(invoice_id).id,)
        ).fetchall()
        if len(rows) != 1:
            raise ToolError(f"{len(rows)} payments name invoice {invoice_id}")
        return Payment.model_validate(dict(rows[0]))

    def account(self, account_id: str) -> Account:
        """Return one account.

        Raises:
            ToolError: there is none with this id.
        """
        row = self._connection.execute(
            "SELECT id, name, (SELECT coalesce(sum(debit - credit), 0) FROM line WHERE account = account.id)"
            " AS balance_cents FROM account WHERE id = ?",
            (account_id,),
        ).fetchone()
        if row is None:
            raise ToolError(f"there is no account {account_id}")
        return Account.model_validate(dict(row))

    def entry(self, entry_id: str) -> Entry:
        """Return one entry.

        Raises:
            ToolError: there is none with this id.
        """
        row = self._connection.execute(
            "SELECT printf('JE-%04d', id) AS id, invoice, iif(reverses IS NULL, '', printf('JE-%04d', reverses)) AS reverses"
            " FROM entry WHERE id = ?",
            (_number(entry_id),),
        ).fetchone()
        if row is None:
            raise ToolError(f"there is no entry {entry_id}")
        lines = self._connection.execute(
            "SELECT account, debit AS debit_cents, credit AS credit_cents FROM line WHERE entry = ? ORDER BY rowid",
            (_number(entry_id),),
        )
        found = [Line.model_validate(dict(line)) for line in lines]
        return Entry(id=row["id"], invoice=row["invoice"], lines=found, reverses=row["reverses"])

    def entries(self, invoice_id: str) -> list[Entry]:
        """Return what was posted for an invoice, the oldest first."""
        rows = self._connection.execute("SELECT id FROM entry WHERE invoice = ? ORDER BY id", (invoice_id,))
        return [self.entry(f"JE-{row['id']:04d}") for row in rows.fetchall()]

    def post(self, invoice_id: str, account_id: str, lines: Sequence[Line]) -> Entry:
        """Post an entry for an invoice.

        Raises:
            ToolError: debits and credits differ, or the invoice has an entry that is not reversed.
        """
        debited, credited = sum(line.debit_cents for line in lines), sum(line.credit_cents for line in lines)
        if debited != credited:
            raise ToolError(f"debits are {debited} cents and credits {credited}: an entry must balance")
        if account_id not in {line.account for line in lines}:
            raise ToolError(f"no line is about account {account_id}")
        with self._transaction():
            standing = self._standing(self.invoice(invoice_id).id)
            if standing:
                raise ToolError(f"{invoice_id} is posted already, as {standing}")
            return self._written(invoice_id, lines, None)

    def reverse(self, entry_id: str) -> Entry:
        """Post the opposite of an entry.

        Raises:
            ToolError: it is a reversal itself, or reversed already.
        """
        with self._transaction():
            found = self.entry(entry_id)
            if found.reverses:
                raise ToolError(f"{entry_id} is a reversal itself")
            if self._standing(found.invoice) != entry_id:
                raise ToolError(f"{entry_id} is reversed already")
            opposite = [
                Line(account=line.account, debit_cents=line.credit_cents, credit_cents=line.debit_cents)
                for line in found.lines
            ]
            return self._written(found.invoice, opposite, _number(entry_id))

    def close_invoice(self, invoice_id: str, entry_id: str) -> Invoice:
        """Close an invoice that was posted.

        Raises:
            ToolError: it is disputed or closed, or the entry is not the one that stands for it.
        """
        found = self.invoice(invoice_id)
        if found.state != "open":
            raise ToolError(f"{invoice_id} is {found.state}: it can't be closed")
        if self._standing(invoice_id) != entry_id:
            raise ToolError(f"{entry_id} does not stand for {invoice_id}")
        self._connection.execute("UPDATE invoice SET state = 'closed' WHERE id = ?", (invoice_id,))
        return self.invoice(invoice_id)

    def _standing(self, invoice_id: str) -> str:
        """Return the entry of an invoice that is not reversed; empty if there is none."""
        row = self._connection.execute(
            "SELECT printf('JE-%04d', id) AS id FROM entry WHERE invoice = ? AND reverses IS NULL"
            " AND id NOT IN (SELECT reverses FROM entry WHERE reverses IS NOT NULL)",
            (invoice_id,),
        ).fetchone()
        return row["id"] if row else ""

    def _written(self, invoice_id: str, lines: Sequence[Line], reverses: int | None) -> Entry:
        cursor = self._connection.execute(
            "INSERT INTO entry (time, invoice, reverses) VALUES (?, ?, ?)", (now(), invoice_id, reverses)
        )
        self._connection.executemany(
            "INSERT INTO line VALUES (?, ?, ?, ?)",
            [(cursor.lastrowid, line.account, line.debit_cents, line.credit_cents) for line in lines],
        )
        return self.entry(f"JE-{cursor.lastrowid:04d}")


def _number(entry_id: str) -> int:
    return int(entry_id.removeprefix("JE-"))


def ledger_server(ledger: Ledger) -> MCPServer[None]:
    """Return the MCP server with the ledger's six actions."""
    server: MCPServer[None] = MCPServer(name="ledger", version="1.0.0", log_level="WARNING")
    entries, invoices = Once[Entry](), Once[Invoice]()
    reads = ToolAnnotations(read_only_hint=True)
    writes = ToolAnnotations(read_only_hint=False, destructive_hint=False)

    @server.tool(annotations=reads)
    async def get_invoice(invoice: InvoiceId) -> Invoice:
        """Read an invoice."""
        return ledger.invoice(invoice)

    @server.tool(annotations=reads)
    async def find_payment(invoice: InvoiceId) -> Payment:
        """Find the payment that names an invoice."""
        return ledger.payment(invoice)

    @server.tool(annotations=reads)
    async def get_account(account: AccountId) -> Account:
        """Read an account's balance."""
        return ledger.account(account)

    @server.tool(annotations=writes)
    async def post_entry(
        invoice: InvoiceId,
        account: AccountId,
        lines: Annotated[list[Line], Field(min_length=2, max_length=16)],
        asked: Context,
    ) -> Entry:
        """Post an entry that pays an invoice from an account."""
        return entries.do(asked.headers, lambda: ledger.post(invoice, account, lines))

    @server.tool(annotations=writes)
    async def reverse_entry(entry: EntryId, asked: Context) -> Entry:
        """Post the opposite of an entry."""
        return entries.do(asked.headers, lambda: ledger.reverse(entry))

    @server.tool(annotations=writes)
    async def close_invoice(invoice: InvoiceId, entry: EntryId, asked: Context) -> Invoice:
        """Close an invoice that was posted."""
        return invoices.do(asked.headers, lambda: ledger.close_invoice(invoice, entry))

    return server


def ledger_app(settings: Settings, ledger: Ledger) -> ASGIApp:
    """Return the whole application."""
    return mcp_app(ledger_server(ledger), settings, ledger.log, "invoice", "entry", "account")


def main() -> None:
    """Serve until the process is ended."""
    settings = Settings.from_environment(os.environ, "ledger")
    run(ledger_app(settings, Ledger(settings.database)), settings)


if __name__ == "__main__":
    main()
