"""``aos audit verify``: whether the trail is the one that was written, judged here and not by who keeps it."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

from aos.audit.event import AuditRow
from aos.audit.head import ChainHead
from aos.audit.signing import HeadError, SignedHead
from aos.audit.verification import LIMITS, Coverage, Verification, Verifier
from aos.cli.audit import PAGE_ROWS
from aos.cli.audit_source import AuditPlace, AuditSource, Damaged, End
from aos.cli.connection import Connection
from aos.cli.exits import ExitCode, usage_error
from aos.cli.formats import DataFormat
from aos.cli.output import as_data
from aos.cli.progress import Progress, progress
from aos.model.base import JsonObject

_TOLD_EACH = 1000


async def verify(
    connection: Connection, place: AuditPlace, style: DataFormat | None, copies: Sequence[Path] = ()
) -> ExitCode:
    """Print the verdict; FAILURE if the trail does not hold.

    Args:
        connection: the cluster.
        place: where to read, and as whom.
        style: None for people.
        copies: files with anchors that the reader has kept, a line of JSON for each.

    Raises:
        ApiError: the API server refused to be asked.
        CommandError: rows, heads or anchors can't be read.
    """
    kept = [head for copy in copies for head in load(copy)]
    now = datetime.now(UTC)
    async with connection.client() as client:
        source = AuditSource(client, place)
        with progress("reading heads and anchors") as said:
            # Before the rows: a trail that grows meanwhile must not look cut.
            anchors, heads = await asyncio.gather(source.anchors(), source.heads())
            verification = await checked(source, heads, (*anchors.all(), *kept), Verifier(now), said)
    if style is not None:
        print(as_data(data(verification), style))
    else:
        print("\n".join(report(verification)))
    return ExitCode.SUCCESS if verification.holds else ExitCode.FAILURE


async def checked(
    source: AuditSource,
    heads: Iterable[ChainHead],
    anchors: Sequence[SignedHead],
    verifier: Verifier,
    said: Progress,
) -> Verification:
    """Read every chain, and return the verdict."""
    known = tuple(heads)
    for head in known:
        after: int | None = 0
        while after is not None:
            after = await _page(source, head.chain, after, verifier, said)
    return verifier.finish(known, anchors)


def load(copy: Path) -> list[SignedHead]:
    """Return the anchors in a file.

    Raises:
        CommandError: it can't be read, or holds something else.
    """
    try:
        return [SignedHead.parse(line) for line in copy.read_bytes().splitlines() if line]
    except (OSError, HeadError) as error:
        raise usage_error(f"{copy} holds no anchors: {error}") from error


async def _page(
    source: AuditSource, chain: str, after: int, verifier: Verifier, said: Progress
) -> int | None:
    """Take one page of a chain; return where to go on, None at its end."""
    query = {"chain": chain, "after": str(after), "limit": str(PAGE_ROWS)}
    next_after: int | None = None
    async with aclosing(source.lines(query)) as lines:
        async for line in lines:
            match line:
                case AuditRow():
                    verifier.take(line)
                    after = line.sequence
                    if verifier.rows % _TOLD_EACH == 0:
                        said.wait_for(f"checked {verifier.rows} rows")
                case Damaged():
                    verifier.unreadable(line.chain, line.sequence, line.message)
                    next_after = line.sequence
                case End():
                    next_after = after if line.more else None
    return next_after


def report(verification: Verification) -> list[str]:
    """Return the verdict for people: what is wrong, how far the proof reaches, and what it does not cover."""
    lines = [f"{item.kind}: {item.message}" for item in verification.findings]
    verdict = "the trail holds" if verification.holds else "THE TRAIL DOES NOT HOLD"
    chains = len(verification.coverage)
    lines.append(
        f"{verdict}: {verification.rows} rows in {chains} chains checked,"
        f" {verification.deleted} deleted by retention, {verification.unanchored} not anchored yet"
    )
    lines += [
        f"  {item.chain}: rows to {item.last}, anchored to {item.anchored or 'none'}{_through_others(item)}"
        for item in verification.coverage
        if item.anchored < item.last
    ]
    return [*lines, "not covered:", *(f"  - {limit}" for limit in LIMITS)]


def _through_others(item: Coverage) -> str:
    return f", to {item.covered} by the start of a later chain alone" if item.covered > item.anchored else ""


def data(verification: Verification) -> JsonObject:
    """Return the verdict for programs."""
    return {
        "holds": verification.holds,
        "rows": verification.rows,
        "deletedByRetention": verification.deleted,
        "notAnchored": verification.unanchored,
        "findings": [
            {"kind": item.kind, "chain": item.chain, "sequence": item.sequence, "message": item.message}
            for item in verification.findings
        ],
        "chains": [
            {
                "chain": item.chain,
                "rows": item.rows,
                "last": item.last,
                "anchored": item.anchored,
                "covered": item.covered,
            }
            for item in verification.coverage
        ],
        "notCovered": list(LIMITS),
    }
