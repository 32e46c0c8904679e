"""``aos audit hold``: legal holds, which keep rows from retention."""

from datetime import UTC, datetime

from aos.cli.audit_source import AuditPlace, AuditSource
from aos.cli.connection import Connection
from aos.cli.exits import ExitCode
from aos.cli.formats import DataFormat
from aos.cli.output import Table, as_data
from aos.kube.objects import text
from aos.model.base import JsonObject


async def add(connection: Connection, place: AuditPlace, name: str, reason: str) -> ExitCode:
    """Set a legal hold.

    Raises:
        ApiError: the API server or the gateway refused it.
    """
    async with connection.client() as client:
        await AuditSource(client, place).hold(name, reason)
    print(f"legal hold {name} keeps the rows of {_where(place)}")
    return ExitCode.SUCCESS


async def release(connection: Connection, place: AuditPlace, name: str) -> ExitCode:
    """Release a legal hold.

    Raises:
        ApiError: the API server or the gateway refused it.
    """
    async with connection.client() as client:
        await AuditSource(client, place).release(name)
    print(f"legal hold {name} is released: retention deletes rows of {_where(place)} again")
    return ExitCode.SUCCESS


async def list_holds(connection: Connection, place: AuditPlace, style: DataFormat | None) -> ExitCode:
    """Print the legal holds.

    Raises:
        ApiError: the API server or the gateway refused it.
    """
    async with connection.client() as client:
        holds = await AuditSource(client, place).holds()
    if style is not None:
        print(as_data({"holds": list(holds)}, style))
    elif holds:
        print("\n".join(table(holds).render(None)))
    else:
        print(f"there is no legal hold {place.where}{place.wider}")
    return ExitCode.SUCCESS


def table(holds: tuple[JsonObject, ...]) -> Table:
    """Return the holds for people."""
    return Table(
        ("NAME", "NAMESPACE", "BY", "SINCE", "REASON"),
        tuple(
            (
                text(hold, "name"),
                text(hold, "namespace") or "(all)",
                text(hold, "created_by"),
                moment(hold.get("created_at")),
                text(hold, "reason"),
            )
            for hold in holds
        ),
    )


def moment(seconds: object) -> str:
    """Return seconds of the epoch as people read them; empty for what is no number."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def _where(place: AuditPlace) -> str:
    return f"namespace {place.namespace}" if place.namespace else "all namespaces"
