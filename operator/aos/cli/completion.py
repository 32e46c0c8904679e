"""Completion of names by the shell: asks the API server, briefly, and says nothing where it can't."""

import asyncio
import contextlib
from pathlib import Path
from typing import Final

import typer

from aos.cli.connection import Connection

TIMEOUT_SECONDS: Final = 3.0


def request_names(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the names of requests that wait and begin so, each with what it is about."""
    found: list[tuple[str, str]] = []
    # A shell that completes has no place for errors.
    with contextlib.suppress(Exception):
        found = asyncio.run(_request_names(_connection(ctx), incomplete))
    taken = ctx.params.get("names") or ()
    return [item for item in found if item[0] not in taken]


async def _request_names(connection: Connection, incomplete: str) -> list[tuple[str, str]]:
    from datetime import UTC, datetime

    from aos.cli.approvals import is_open, read_requests, urgency
    from aos.cli.output import one_line
    from aos.kube.client import Selection

    async with asyncio.timeout(TIMEOUT_SECONDS), connection.client() as client:
        found = await read_requests(client, Selection(namespace=connection.resolved_namespace()), [])
    now = datetime.now(UTC)
    return [
        (item.metadata.name, one_line(item.spec.summary))
        for item in sorted(found, key=urgency)
        if is_open(item, now) and item.metadata.name.startswith(incomplete)
    ]


def _connection(ctx: typer.Context) -> Connection:
    """Return what the options before and after the command say; none of the callbacks was called."""
    connection = Connection()
    for params in (ctx.params, ctx.parent.params if ctx.parent else {}):
        kubeconfig = params.get("kubeconfig")
        connection = Connection(
            kubeconfig=Path(kubeconfig) if kubeconfig else None,
            context=params.get("kube_context") or None,
            namespace=params.get("namespace") or None,
        ).overridden_by(connection)
    return connection
