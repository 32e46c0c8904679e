"""``aos approve`` and ``aos reject``: shows what is decided, asks, and appends the caller's decision to each request."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import JsonValue

from aos.cli.approval_view import Shown, command, show_lines
from aos.cli.approvals import (
    PAST,
    Caller,
    approvers_text,
    can_reject,
    decision_of,
    ended,
    is_short,
    progress_of,
    whoami,
)
from aos.cli.connection import Connection
from aos.cli.execution import explained
from aos.cli.exits import CommandError, ExitCode, usage_error
from aos.cli.output import one_line
from aos.cli.pending import key_of_argument, look, read_request, terminal_width
from aos.kube.client import ApiClient
from aos.kube.errors import ApiError, Conflict, Forbidden, Invalid
from aos.kube.resources import APPROVAL_REQUESTS
from aos.model.approval_request import ApprovalRequest, RequestState, RequestType, Verdict
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey

MAX_COMMENT_LENGTH: Final = 1024
_ATTEMPTS: Final = 8
_FIRST_PAUSE_SECONDS: Final = 0.1
_ADMISSION: Final = "denied request: "
"""What stands before an admission policy's own words."""

Ask = Callable[[str], bool]
AskWhy = Callable[[], str]


class _DeclinedError(Exception):
    """The caller looked at it and said no, which is no error."""


@dataclass(frozen=True, slots=True)
class Decide:
    """What is asked.

    Attributes:
        names: requests, as the caller wrote them.
        comment: why; may be empty for an approval, and where ``ask_why`` is there to ask for it.
        ask: puts a question to the caller; None where the command line has answered it.
        wait_seconds: how long to wait for what becomes of each.
        ask_why: asks the caller for the reason of a rejection; None where the command line gives it.
    """

    verdict: Verdict
    names: tuple[str, ...]
    comment: str
    ask: Ask | None
    wait_seconds: float
    ask_why: AskWhy | None = None


async def decide(connection: Connection, request: Decide) -> ExitCode:
    """Decide each request in turn; what hinders one is told and does not keep from the next.

    Returns:
        SUCCESS if all were decided, else how the first one that was not failed.

    Raises:
        ApiError: the API server does not say who the caller is.
        CommandError: a name or the comment is wrong; nothing was decided.
    """
    _check_length(request.comment)
    keys = dict.fromkeys(key_of_argument(name, connection) for name in request.names)
    result = ExitCode.SUCCESS
    async with connection.client() as client:
        caller = await whoami(client)
        for key in keys:
            try:
                await _Decision(client, caller, request, key).take()
            except _DeclinedError:
                print(f"{key.name}: you said no, and nothing was decided", file=sys.stderr)
                result = result or ExitCode.FAILURE
                continue
            except CommandError as error:
                code, said = error.code, str(error)
            except ApiError as error:
                code, said = refusal(error)
            else:
                continue
            print(f"error: {key.name}: {one_line(said)}", file=sys.stderr)
            result = result or code
    return result


def _check_length(comment: str) -> None:
    if len(comment) > MAX_COMMENT_LENGTH:
        raise usage_error(f"-m: at most {MAX_COMMENT_LENGTH} characters, not {len(comment)}")


def refusal(error: ApiError) -> tuple[ExitCode, str]:
    """Return the exit code for a refused decision, and a sentence; of an admission policy, its own words."""
    if isinstance(error, Forbidden | Invalid) and _ADMISSION in error.message:
        return ExitCode.REFUSED, error.message.partition(_ADMISSION)[2]
    return explained(error)


class _Decision:
    """One person's decision on one request."""

    def __init__(self, client: ApiClient, caller: Caller, request: Decide, key: ObjectKey) -> None:
        self._client = client
        self._caller = caller
        self._request = request
        self._key = key
        self._comment = request.comment

    async def take(self) -> None:
        """Show, ask, write, and tell what became of it.

        Raises:
            _DeclinedError: the caller does not want to.
            CommandError: it can't be decided.
            ApiError: the API server refused it.
        """
        shown = await self._read()
        self._check(shown)
        self._confirm(shown)
        written = await self._write(shown)
        print(outcome(await self._settled(written), self._request.verdict, self._caller, datetime.now(UTC)))

    async def _read(self) -> Shown:
        request = await read_request(self._client, self._key)
        return await look(self._client, request, self._caller, datetime.now(UTC))

    def _check(self, shown: Shown) -> None:
        found = shown.pending.hindrance
        if found is None or (self._request.verdict is Verdict.REJECT and can_reject(found)):
            return
        # How a request stands is a fact; that somebody may not decide is a refusal, as the API server's own.
        code = ExitCode.FAILURE if found.word in {"ended", "decided", "enough"} else ExitCode.REFUSED
        raise CommandError(code, found.sentence)

    def _confirm(self, shown: Shown) -> None:
        ask = self._request.ask
        if ask is None:
            return
        print("\n".join(show_lines(shown, datetime.now(UTC), terminal_width())))
        print()
        if not ask(f"{self._request.verdict.value} {self._key.name}?"):
            raise _DeclinedError
        if self._request.ask_why is not None and not self._comment:
            self._comment = self._request.ask_why()
            _check_length(self._comment)

    async def _write(self, shown: Shown) -> ApprovalRequest:
        """Append the decision to those that were read; where somebody else was faster, read anew and try again."""
        for _ in range(_ATTEMPTS):
            request = shown.pending.request
            try:
                return await self._append(request)
            except Conflict:
                shown = await self._read()
            self._check(shown)
            if not is_same_question(request, shown.pending.request):
                self._ask_anew(shown)
            for said in told_since(request, shown.pending.request):
                print(f"{self._key.name}: meanwhile {said}", file=sys.stderr)
        raise CommandError(ExitCode.REFUSED, f"it changed {_ATTEMPTS} times meanwhile; try again")

    def _ask_anew(self, shown: Shown) -> None:
        if self._request.ask is None:
            raise CommandError(
                ExitCode.FAILURE,
                f"it is another request now; `{command('show', shown.pending.request)}` tells what of",
            )
        print(f"{self._key.name} is another request now:")
        self._confirm(shown)

    async def _append(self, request: ApprovalRequest) -> ApprovalRequest:
        own = decision_of(request.spec, self._caller, self._request.verdict, self._comment)
        # Those of others go back exactly as they came: nobody may touch them.
        decisions: list[JsonValue] = [
            *(
                item.model_dump(mode="json", by_alias=True, exclude_unset=True)
                for item in request.spec.decisions
            ),
            own.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        ]
        patch: JsonObject = {
            # Whatever changed since it was read, the decision is not made.
            "metadata": {"resourceVersion": request.metadata.resource_version, "uid": request.metadata.uid},
            "spec": {"decisions": decisions},
        }
        raw = await self._client.merge_patch(
            APPROVAL_REQUESTS, self._key.name, patch, namespace=self._key.namespace
        )
        return ApprovalRequest.parse(raw)

    async def _settled(self, request: ApprovalRequest) -> ApprovalRequest:
        """Return the request once the operator has counted the decision, or as it is when the time is over."""
        pause = _FIRST_PAUSE_SECONDS
        left = self._request.wait_seconds
        while left > 0 and not is_counted(request, self._caller):
            await asyncio.sleep(min(pause, left))
            left -= pause
            pause *= 2
            try:
                request = await read_request(self._client, self._key)
            except (CommandError, ApiError):
                # The decision is made; that it can't be read, or ended with its Task, changes nothing.
                break
        return request


def is_same_question(old: ApprovalRequest, new: ApprovalRequest) -> bool:
    """Whether nothing but what others said has changed."""
    without = {"decisions": ()}
    return old.metadata.uid == new.metadata.uid and old.spec.model_copy(
        update=without
    ) == new.spec.model_copy(update=without)


def told_since(old: ApprovalRequest, new: ApprovalRequest) -> list[str]:
    """Return what others have said since."""
    known = {item.approver for item in old.spec.decisions}
    return [
        f"{one_line(item.approver)} {PAST[item.verdict]} it"
        for item in new.spec.decisions
        if item.approver not in known
    ]


def is_counted(request: ApprovalRequest, caller: Caller) -> bool:
    """Whether the operator has seen the caller's decision, or the request has ended."""
    return request.status.state is not RequestState.PENDING or any(
        item.approver == caller.name for item in request.status.counted
    )


_AFTER: Final = {
    RequestType.CALL: "the call is let through once",
    RequestType.REVIEW: "that was the review",
    RequestType.GATE: "the run goes on",
}


def outcome(request: ApprovalRequest, verdict: Verdict, caller: Caller, now: datetime) -> str:
    """Return what became of a decision, as one line."""
    said = f"{request.metadata.name} {PAST[verdict]}"
    progress = progress_of(request)
    if request.status.state is RequestState.APPROVED:
        return f"{said}: {progress.have} of {progress.need}; {_AFTER[request.spec.type]}"
    if request.status.state is not RequestState.PENDING:
        return f"{said}: {ended(request, now)}"
    if not is_counted(request, caller):
        return f"{said}; the operator has not counted it yet"
    missing = "; ".join(
        f"{status.required - status.approved} more by {one_line(approvers_text(quorum, now))}"
        for quorum, status in zip(request.spec.quorums, progress.quorums, strict=True)
        if is_short(status)
    )
    return f"{said}: {progress.have} of {progress.need}; still needs {missing}"
