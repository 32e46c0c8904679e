"""``aos records``: which Task holds which record, and how to free one."""

from aos.cli.audit_hold import moment
from aos.cli.audit_source import AuditPlace, AuditSource
from aos.cli.connection import Connection
from aos.cli.exits import ExitCode
from aos.cli.formats import DataFormat
from aos.cli.output import Table, as_data
from aos.kube.objects import text
from aos.model.base import JsonObject


async def list_records(connection: Connection, place: AuditPlace, style: DataFormat | None) -> ExitCode:
    """Print who holds what.

    Raises:
        ApiError: the API server or the gateway refused it.
    """
    async with connection.client() as client:
        leases = await AuditSource(client, place).records()
    if style is not None:
        print(as_data({"records": list(leases)}, style))
    elif leases:
        print("\n".join(table(leases).render(None)))
    else:
        print(f"no record is held {place.where}{place.wider}")
    return ExitCode.SUCCESS


async def free(connection: Connection, place: AuditPlace, record: str) -> ExitCode:
    """Take a record from its holder.

    Raises:
        ApiError: the API server or the gateway refused it.
    """
    async with connection.client() as client:
        lease = await AuditSource(client, place).free(record)
    print(f"{record} is free; Task {text(lease, 'task')} of agent {text(lease, 'agent')} held it")
    return ExitCode.SUCCESS


def table(leases: tuple[JsonObject, ...]) -> Table:
    """Return the leases for people."""
    return Table(
        ("RECORD", "NAMESPACE", "AGENT", "TASK", "UNTIL"),
        tuple(
            (
                text(lease, "record"),
                text(lease, "namespace"),
                text(lease, "agent"),
                text(lease, "task"),
                moment(lease.get("expires_at")),
            )
            for lease in leases
        ),
    )
