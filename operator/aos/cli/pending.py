"""``aos pending`` and ``aos show``: what waits for the caller, and all about one request."""

import re
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from aos.cli.approval_view import Shown, pending_data, pending_lines, reference, show_lines, title
from aos.cli.approvals import (
    MAX_REVIEWS_BY_NAME,
    NO_RIGHT,
    Caller,
    Pending,
    Rights,
    hindrance,
    judged,
    read_requests,
    whoami,
)
from aos.cli.connection import Connection
from aos.cli.exits import CommandError, ExitCode, usage_error
from aos.cli.formats import ListFormat, ObjectFormat
from aos.cli.namespaces import check_namespace
from aos.cli.output import as_data
from aos.kube.client import ApiClient, Selection
from aos.kube.errors import Forbidden, NotFound
from aos.kube.resources import AGENTS, APPROVAL_REQUESTS
from aos.model.agent import Agent
from aos.model.approval_request import ApprovalRequest, AskedCall
from aos.model.base import DNS_SUBDOMAIN
from aos.model.meta import ObjectKey
from aos.model.names import GROUP

_KINDS: Final = frozenset(
    name + suffix
    for name in ("apr", "approvalrequest", "approvalrequests")
    for suffix in ("", f".{GROUP}", f".v1alpha1.{GROUP}")
)

_NAME: Final = re.compile(DNS_SUBDOMAIN)


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """What is asked.

    Attributes:
        everywhere: whether every namespace is meant.
        all_of_them: whether requests are shown that the caller can't decide.
        style: None for a table.
    """

    everywhere: bool
    all_of_them: bool
    style: ListFormat | None


async def pending(connection: Connection, request: PendingRequest) -> ExitCode:
    """Print what waits; SUCCESS if it could be read, even where nothing waits.

    Raises:
        CommandError: there is no such namespace.
        ApiError: something could not be read.
    """
    namespace = "" if request.everywhere else connection.resolved_namespace()
    unreadable: list[str] = []
    now = datetime.now(UTC)
    async with connection.client() as client:
        caller = await whoami(client)
        rights = Rights(client)
        requests = await read_requests(client, Selection(namespace=namespace), unreadable)
        if not requests:
            await check_namespace(client, namespace)
        found = await judged(requests, caller, rights, now)
    shown = tuple(item for item in found if request.all_of_them or item.hindrance is None)
    _print(shown, caller, now, request)
    if not shown and request.style in {None, ListFormat.TABLE}:
        where = f"in namespace {namespace}" if namespace else "in any namespace"
        print(f"nothing {where} waits for {caller.name}{told_others(len(found), namespace)}", file=sys.stderr)
    for name in sorted(unreadable):
        print(f"{name} can't be read by this version of aos", file=sys.stderr)
    if rights.unasked:
        print(
            f"{rights.unasked} more were not looked at: you hold rights on single requests, and only the first"
            f" {MAX_REVIEWS_BY_NAME} are asked about; name one namespace with -n",
            file=sys.stderr,
        )
    return ExitCode.SUCCESS


def told_others(count: int, namespace: str) -> str:
    """Return how many requests are for others to decide, and the command that shows them; empty for none."""
    if not count:
        return ""
    waits = "1 waits" if count == 1 else f"{count} wait"
    shows = f"`aos pending --all {f'-n {namespace}' if namespace else '-A'}` shows {'it' if count == 1 else 'them'}"
    return f"; {waits} for others, {shows}"


def _print(found: tuple[Pending, ...], caller: Caller, now: datetime, request: PendingRequest) -> None:
    match request.style:
        case ListFormat.JSON | ListFormat.YAML:
            print(as_data({"user": caller.name, "requests": pending_data(found)}, request.style))
        case ListFormat.NAME:
            for item in found:
                print(title(item.request, everywhere=True) if request.everywhere else reference(item.request))
        case _ if found:
            lines = pending_lines(found, caller, now, terminal_width(), everywhere=request.everywhere)
            print("\n".join(lines))


def terminal_width() -> int | None:
    """Return the columns of the terminal that standard output is; None if it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


async def show(connection: Connection, name: str, style: ObjectFormat | None) -> ExitCode:
    """Print all about one request.

    Raises:
        CommandError: it is not there, or this version of aos can't read it.
        ApiError: it may not be read.
    """
    key = key_of_argument(name, connection)
    async with connection.client() as client:
        request = await read_request(client, key)
        if style is ObjectFormat.NAME:
            print(reference(request))
        elif style is not None:
            print(as_data(request.model_dump(mode="json", by_alias=True, exclude_none=True), style))
        else:
            now = datetime.now(UTC)
            shown = await look(client, request, await whoami(client), now)
            print("\n".join(show_lines(shown, now, terminal_width())))
    return ExitCode.SUCCESS


async def look(client: ApiClient, request: ApprovalRequest, caller: Caller, now: datetime) -> Shown:
    """Read what else is shown about a request.

    Raises:
        ApiError: the API server does not say what the caller may do.
    """
    found = hindrance(request, caller, now)
    if found is None and not await Rights(client).may_approve(request.key):
        found = NO_RIGHT
    return Shown(Pending(request, found), caller, await _team(client, request))


async def read_request(client: ApiClient, key: ObjectKey) -> ApprovalRequest:
    """Return the request.

    Raises:
        CommandError: it is not there, or this version of aos can't read it.
        ApiError: it may not be read.
    """
    try:
        return ApprovalRequest.parse(await client.get(APPROVAL_REQUESTS, key.name, key.namespace))
    except NotFound as error:
        if "page not found" in error.message:
            raise
        await check_namespace(client, key.namespace)
        raise CommandError(
            ExitCode.REFUSED,
            f"there is no ApprovalRequest {key.name} in namespace {key.namespace}: it ends with its Task or run;"
            " `aos pending -A` shows what waits",
        ) from error
    except ValidationError as error:
        raise CommandError(
            ExitCode.REFUSED, f"ApprovalRequest {key} can't be read by this version of aos: {error}"
        ) from error


def key_of_argument(name: str, connection: Connection) -> ObjectKey:
    """Return which request is meant by ``NAME``, ``NAMESPACE/NAME`` or what ``-o name`` prints.

    Raises:
        CommandError: it can't be a name.
    """
    before, _, last = name.rpartition("/")
    namespace = connection.resolved_namespace() if not before or before.lower() in _KINDS else before
    if not (_NAME.fullmatch(last) and _NAME.fullmatch(namespace)):
        raise usage_error(f"{name!r} is no name: write NAME, or NAMESPACE/NAME, as `aos pending` shows it")
    return ObjectKey(namespace=namespace, name=last)


async def _team(client: ApiClient, request: ApprovalRequest) -> str:
    """Return the team that owns the agent; empty if the caller may not read it, it is gone, or a run waits."""
    subject = request.spec.subject
    if not isinstance(subject, AskedCall):
        return ""
    try:
        raw = await client.get(AGENTS, subject.agent.name, request.metadata.namespace)
        return Agent.parse(raw).spec.owner.team
    except (Forbidden, NotFound, ValidationError):
        return ""
