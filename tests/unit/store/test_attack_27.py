"""Whoever can write the store, and what the anchors and the next chain's start make of it; both backends."""

import contextlib
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from aos.audit.chain import DamagedRowError, row_hash
from aos.audit.codec import encode_event
from aos.audit.query import AuditQuery
from aos.audit.signing import HeadSigner, SignedHead
from aos.audit.verification import FindingKind, Verification, Verifier
from aos.gateway.audit.heads import HeadReporter
from aos.store.interface import LegalHold, Store, StoreRefusedError
from tests.unit.gateway_audit.test_heads import Report
from tests.unit.store.conftest import Backend
from tests.unit.store.make import event

ROOT = Path(__file__).resolve().parents[3]
PAST_ALL = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
NEWEST = "(SELECT max(id) FROM audit)"
"""What ``@newest`` stands for in the statements below."""
CUT = (
    "DELETE FROM audit WHERE id = @newest",
    "UPDATE chains SET sequence = sequence - 1, hash = (SELECT hash FROM audit ORDER BY id DESC LIMIT 1)",
)
K = FindingKind


async def tamper(backend: Backend, *statements: str, **values: bytes) -> None:
    """Do as somebody does who can write the database, while no gateway runs; ``@NAME`` stands for a value."""
    for store in backend.opened:
        await store.close()
    backend.opened.clear()
    await meddle(backend, *statements, **values)


async def meddle(backend: Backend, *statements: str, **values: bytes) -> None:
    """Do the same while gateways run."""
    is_file = backend.url.startswith("sqlite://")
    quoted = "X'{}'" if is_file else "'\\x{}'::bytea"
    said = [item.replace("@newest", NEWEST) for item in statements]
    for name, value in values.items():
        said = [item.replace(f"@{name}", quoted.format(value.hex())) for item in said]
    if is_file:
        with contextlib.closing(sqlite3.connect(backend.url.removeprefix("sqlite://"))) as other, other:
            for statement in said:
                other.execute(statement)
        return
    connection = await asyncpg.connect(backend.url)
    try:
        for statement in said:
            await connection.execute(statement)
    finally:
        await connection.close()


async def written(backend: Backend, chain: str = "first", rows: int = 4) -> list[SignedHead]:
    """Write a chain and return its anchors, one for each head on the way."""
    store, signer, anchors = await backend.open(chain), HeadSigner(), []
    for number in range(rows):
        await store.append([event(f"{chain}-{number}")])
        anchors += [signer.sign(head) for head in await store.heads() if head.chain == chain]
    return anchors


async def verdict(store: Store, anchors: list[SignedHead]) -> Verification:
    """Verify as `aos audit verify` does."""
    verifier, heads = Verifier(datetime.now(UTC)), await store.heads()
    for head in heads:
        after = 0
        while True:
            try:
                async for row in store.rows(AuditQuery(chain=head.chain, after_sequence=after)):
                    verifier.take(row)
            except DamagedRowError as error:
                verifier.unreadable(error.chain, error.sequence, str(error))
                after = error.sequence
            else:
                break
    return verifier.finish(heads, anchors)


def found(verification: Verification) -> set[tuple[str, str, int]]:
    return {(item.kind, item.chain, item.sequence) for item in verification.findings}


async def test_a_trail_holds_over_restarts(backend: Backend) -> None:
    anchors = [*await written(backend, "first"), *await written(backend, "second")]
    verification = await verdict(await backend.open(), anchors)
    assert verification.holds, verification.findings
    assert verification.rows == 11


async def test_attack_27_a_tail_that_was_cut_is_found_by_the_anchors(backend: Backend) -> None:
    anchors = await written(backend)
    await tamper(backend, *CUT)
    assert (K.TRUNCATED, "first", 5) in found(await verdict(await backend.open(), anchors))


async def test_attack_27_a_tail_that_was_cut_after_a_restart_is_found_without_anchors(
    backend: Backend,
) -> None:
    await written(backend)
    await backend.open("second")
    await tamper(
        backend,
        "DELETE FROM audit WHERE id = (SELECT max(audit.id) FROM audit JOIN chains"
        " ON chains.id = audit.id / 1099511627776 WHERE chains.name = 'first')",
    )
    assert (K.TRUNCATED, "first", 5) in found(await verdict(await backend.open(), []))


async def test_attack_27_rows_that_were_reordered_are_named(backend: Backend) -> None:
    anchors = await written(backend)
    await tamper(
        backend,
        "UPDATE audit SET id = id + 100 WHERE id = @newest",
        "UPDATE audit SET id = id + 1 WHERE id = @newest - 101",
        "UPDATE audit SET id = id - 101 WHERE id = @newest",
    )
    kinds = found(await verdict(await backend.open(), anchors))
    assert {(K.CHANGED, "first", 4), (K.CHANGED, "first", 5)} <= kinds


async def test_attack_27_a_dropped_row_is_named(backend: Backend) -> None:
    anchors = await written(backend)
    await tamper(backend, "DELETE FROM audit WHERE id = @newest - 2")
    assert found(await verdict(await backend.open(), anchors)) == {(K.MISSING, "first", 3)}


async def test_attack_27_a_row_whose_text_was_broken_is_named_and_the_rest_is_checked(
    backend: Backend,
) -> None:
    anchors = await written(backend)
    await tamper(backend, "UPDATE audit SET event = @empty WHERE id = @newest - 1", empty=b"{}")
    verification = await verdict(await backend.open(), anchors)
    assert found(verification) == {(K.CHANGED, "first", 4)}
    assert "row 4 of audit chain first can't be read" in verification.findings[0].message


@pytest.mark.parametrize("approvers", [(), ("eve@example.com Approve",), ("ana@example.com Reject",)])
async def test_attack_27_who_approved_a_call_is_in_its_hash(
    backend: Backend, approvers: tuple[str, ...]
) -> None:
    anchors = await written(backend)
    store = await backend.open("second")
    genuine = event("released", approvals=("apr-1",), approvers=("ana@example.com Approve",))
    await store.append([genuine])
    head = store.written()
    assert head is not None
    anchors.append(HeadSigner().sign(head))
    assert (await verdict(store, anchors)).holds
    forged = replace(genuine, approvers=approvers)
    await tamper(backend, "UPDATE audit SET event = @other WHERE id = @newest", other=encode_event(forged))
    assert found(await verdict(await backend.open(), anchors)) == {(K.CHANGED, "second", 2)}


@pytest.mark.parametrize("in_chains", [False, True])
async def test_attack_27_a_newest_row_that_is_replaced_before_it_is_signed_is_never_signed_and_found(
    backend: Backend, *, in_chains: bool
) -> None:
    store, report = await backend.open("first"), Report()
    reporter = HeadReporter(store, report)
    await store.append([event("first-1")])
    anchors = [await reporter.tell()]
    await store.append([event("first-2", requested_by="mallory@example.com")])
    (newest,) = [row async for row in store.rows(AuditQuery(chain="first", after_sequence=2))]
    innocent = replace(newest.event, requested_by="kim@example.com")
    digest = row_hash("first", 3, newest.previous, innocent)
    await meddle(
        backend,
        "UPDATE audit SET event = @event, hash = @hash WHERE id = @newest",
        *([f"UPDATE chains SET hash = '{digest}'"] if in_chains else []),  # noqa: S608  - of our own making
        event=encode_event(innocent),
        hash=bytes.fromhex(digest),
    )
    anchors += [await reporter.tell(), await reporter.tell()]
    assert anchors[1] is not None
    assert (anchors[1].head.sequence, anchors[1].head.hash) == (3, newest.hash)
    assert anchors[2] is None
    for ask in (store.ping, partial(store.append, [event("later")])):
        with pytest.raises(StoreRefusedError, match="newest row is not the one that this process wrote"):
            await ask()
    await store.close()
    backend.opened.clear()
    signed = [anchor for anchor in anchors if anchor is not None]
    assert (K.REPLACED, "first", 3) in found(await verdict(await backend.open("second"), signed))


async def test_attack_27_a_store_that_was_begun_anew_lacks_the_anchored_chains(backend: Backend) -> None:
    anchors = await written(backend)
    await tamper(backend, "DELETE FROM audit", "DELETE FROM chains")
    assert found(await verdict(await backend.open("second"), anchors)) == {(K.CHAIN_MISSING, "first", 1)}


async def test_attack_27_a_restart_does_not_hide_what_was_cut_before_it(backend: Backend) -> None:
    anchors = await written(backend)
    await tamper(backend, *CUT)
    anchors += await written(backend, "second")
    assert (K.TRUNCATED, "first", 5) in found(await verdict(await backend.open(), anchors))


@pytest.mark.parametrize("held", [False, True])
async def test_what_retention_deletes_is_accounted_for_and_what_is_cut_besides_is_not(
    backend: Backend, *, held: bool
) -> None:
    anchors = await written(backend)
    store = await backend.open("second")
    await store.append([event("other", namespace="support")])
    if held:
        await store.hold(LegalHold("support/suit", "support", "case", "jane", 0.0))
    assert await store.purge(PAST_ALL) > 0
    # Anybody who can write the store could have written the marks; the gateway vouches for its own.
    assert not (await verdict(store, anchors)).holds
    signer = HeadSigner()
    anchors += [signer.sign(head) for head in await store.heads() if head.chain == "second"]
    verification = await verdict(store, anchors)
    assert verification.holds, verification.findings
    assert verification.deleted >= 5
    await tamper(backend, "DELETE FROM audit WHERE mark = 1")
    assert not (await verdict(await backend.open(), anchors)).holds


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from aos.audit.signing import HeadSigner
from aos.store.interface import Admitted, StoreUnavailableError
from aos.store.settings import StoreSettings
from aos.store.sqlite import SqliteStore
from tests.unit.store.make import admission, charge
from tests.unit.store.test_attack_27 import verdict

async def main(path: Path) -> None:
    store = SqliteStore(path, "first", StoreSettings(retry_seconds=0.0))
    await store.open()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    let_through, failed = set(), 0
    while failed < 5:
        call = admission(charge(limit=10**6))
        try:
            assert await store.admit(call) == Admitted()
            let_through.add(call.call)
        except StoreUnavailableError:
            failed += 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await store.close()
    store = SqliteStore(path, "second")
    await store.open()
    verification = await verdict(store, [HeadSigner().sign(head) for head in await store.heads()])
    assert verification.holds, verification.findings
    assert verification.rows >= len(let_through) + 2, (verification.rows, len(let_through))
    await store.close()

asyncio.run(main(Path(sys.argv[1])))
"""


def test_attack_27_a_full_disk_lets_no_call_through_without_its_row_and_breaks_no_chain(
    tmp_path: Path,
) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "store.db")],
        env={"PYTHONPATH": f"{ROOT}/operator:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
