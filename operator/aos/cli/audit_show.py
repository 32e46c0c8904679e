"""``aos audit show``: one row, with the exact prompt, policy and image that were in force."""

from aos.audit.event import AuditRow
from aos.cli.audit import read, row_data
from aos.cli.audit_source import AuditPlace, AuditSource
from aos.cli.connection import Connection
from aos.cli.exits import CommandError, ExitCode, usage_error
from aos.cli.formats import DataFormat
from aos.cli.output import as_data
from aos.cli.progress import progress
from aos.kube.client import ApiClient
from aos.kube.errors import Forbidden, NotFound
from aos.kube.objects import child, text
from aos.kube.resources import CONTROLLER_REVISIONS
from aos.model.base import JsonObject


async def show(
    connection: Connection, place: AuditPlace, reference: str, style: DataFormat | None
) -> ExitCode:
    """Print a row and what was in force.

    Raises:
        ApiError: the API server refused to be asked.
        CommandError: the row is not there, or ``reference`` is none.
    """
    chain, sequence = parsed(reference)
    async with connection.client() as client:
        source = AuditSource(client, place)
        with progress(f"reading row {reference}") as said:
            query = {
                "namespace": place.namespace,
                "chain": chain,
                "after": str(sequence - 1),
                "limit": "1",
            }
            rows, _ = await read(source, query, said)
            row = next((item for item in rows if item.sequence == sequence), None)
            if row is None:
                where = f"in namespace {place.namespace}" if place.namespace else "in any namespace"
                raise CommandError(ExitCode.FAILURE, f"there is no row {reference} {where}")
            policy = await _document(source, row, row.event.policy_digest)
            revision, problem = await _revision(client, source, row)
    print(as_data(shown(row, policy, revision, problem), style or DataFormat.YAML))
    return ExitCode.SUCCESS


def parsed(reference: str) -> tuple[str, int]:
    """Return chain and sequence of ``CHAIN/SEQUENCE``.

    Raises:
        CommandError: it is no such reference.
    """
    chain, _, number = reference.rpartition("/")
    if not chain or not number.isdecimal() or int(number) < 1:
        raise usage_error(
            f"{reference!r} is no row: write CHAIN/SEQUENCE, as the column ROW of `aos audit` has it"
        )
    return chain, int(number)


def shown(row: AuditRow, policy: JsonObject | None, revision: JsonObject, problem: str) -> JsonObject:
    """Return all that is known, in the order in which people ask for it."""
    said: JsonObject = {"row": row_data(row)}
    if row.event.revision:
        said["revision"] = (
            {
                "name": row.event.revision,
                "digest": row.event.revision_digest,
                "image": text(revision, "image"),
                "prompt": text(revision, "instructions"),
                "spec": child(revision, "spec"),
            }
            if revision
            else {"name": row.event.revision, "problem": problem}
        )
    if row.event.policy_digest:
        found: JsonObject = {"content": policy} if policy is not None else {"problem": "it is not kept"}
        said["policy"] = {"digest": row.event.policy_digest, **found}
    return said


async def _document(source: AuditSource, row: AuditRow, digest: str) -> JsonObject | None:
    return await source.document(row, digest) if digest else None


async def _revision(client: ApiClient, source: AuditSource, row: AuditRow) -> tuple[JsonObject, str]:
    """Return what the agent ran, as the store or else its ControllerRevision has it; or why it can't be shown."""
    event = row.event
    kept = await _document(source, row, event.revision_digest)
    if kept is not None:
        return kept, ""
    if not event.revision or not event.namespace:
        return {}, ""
    try:
        return child(await client.get(CONTROLLER_REVISIONS, event.revision, event.namespace), "data"), ""
    except NotFound:
        return {}, "it is not kept, and its ControllerRevision is gone"
    except Forbidden as error:
        return {}, error.message
