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
            policy = await source.document(row) if row.event.policy_digest else None
            revision, problem = await _revision(client, row)
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
    data = child(revision, "data")
    if row.event.revision:
        said["revision"] = (
            {
                "name": row.event.revision,
                "image": text(data, "image"),
                "prompt": text(data, "instructions"),
                "spec": child(data, "spec"),
            }
            if data
            else {"name": row.event.revision, "problem": problem}
        )
    if row.event.policy_digest:
        found: JsonObject = {"content": policy} if policy is not None else {"problem": "it is not kept"}
        said["policy"] = {"digest": row.event.policy_digest, **found}
    return said


async def _revision(client: ApiClient, row: AuditRow) -> tuple[JsonObject, str]:
    """Return the ControllerRevision that the row names, or why it can't be shown."""
    event = row.event
    if not event.revision or not event.namespace:
        return {}, ""
    try:
        return await client.get(CONTROLLER_REVISIONS, event.revision, event.namespace), ""
    except NotFound:
        return {}, "its ControllerRevision is gone: an agent keeps its last ten and those that open Tasks run"
    except Forbidden as error:
        return {}, error.message
