"""The task's own endpoints at the gateway: what to do, and what came of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import httpx2
from pydantic import BaseModel, ConfigDict, ValidationError

from aos.agent.assignment import Assignment
from aos.agent.failure import CannotReportError, Failure, shortened
from aos.agent.settings import AgentSettings
from aos.model.base import JsonObject

_NO_CONTENT: Final = 204
_CONFLICT: Final = 409
_REFUSALS_OF_CONTENT: Final = frozenset({400, 413, 422})
_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERROR: Final = 500


class Problem(BaseModel):
    """One place in which an output does not fit the schema."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    path: str = ""
    message: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ErrorBody(BaseModel):
    """What the gateway says about a request that it refused."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    code: str | int = ""
    message: str = ""
    details: tuple[Problem, ...] = ()


class _ErrorResponse(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    error: ErrorBody = ErrorBody()


class OutputRefusedError(Exception):
    """The gateway does not take this output; another one it may."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Inbox:
    """Fetches the task and posts its end; whatever may be tried again is, within bounds."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        settings: AgentSettings,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._url = f"{settings.gateway_url}/v1/task"
        self._bounds = settings.bounds
        self._sleep = sleep

    async def fetch(self) -> Assignment:
        """Return the task of this pod, which was made for it.

        Raises:
            CannotReportError: the gateway refuses the pod, or hands out nothing in time.
        """
        return _assignment(
            await self._persistently("GET", self._url, None, self._bounds.fetch_timeout_seconds)
        )

    async def wait(self) -> Assignment:
        """Return the next task of this pod, once there is one; a gateway that is away is waited for.

        Raises:
            CannotReportError: the gateway refuses the pod.
        """
        return _assignment(await self._persistently("GET", self._url, None, None))

    async def last(self) -> Assignment | None:
        """Return the task that the pod has, if it has one now; nothing is waited for.

        Raises:
            CannotReportError: the gateway's task can't be read.
        """
        try:
            async with asyncio.timeout(self._bounds.last_look_seconds):
                response = await self._client.get(self._url)
        except TimeoutError:
            return None
        return _assignment(response) if response.is_success and not _is_passing(response) else None

    async def post_output(self, output: JsonObject) -> bool:
        """Post what the task came to; return whether the gateway took it (it doesn't when the task has ended).

        Raises:
            OutputRefusedError: it does not fit the agent's schema, or is too large.
            CannotReportError: the gateway refuses the pod, or can't be reached in time.
        """
        return await self._post({"output": output})

    async def post_failure(self, failure: Failure) -> bool:
        """Post why the task failed; return whether the gateway took it (it doesn't when the task has ended).

        Raises:
            CannotReportError: the gateway refuses the pod, or can't be reached in time.
        """
        message = shortened(failure.message)
        try:
            return await self._post({"failure": {"reason": failure.reason.value, "message": message}})
        except OutputRefusedError as error:
            raise CannotReportError(f"the gateway refuses the failure {failure.reason}: {error}") from error

    async def _post(self, result: JsonObject) -> bool:
        response = await self._persistently(
            "POST", f"{self._url}/result", result, self._bounds.report_timeout_seconds
        )
        if response.is_success:
            return True
        if response.status_code == _CONFLICT:
            return False
        if response.status_code in _REFUSALS_OF_CONTENT:
            raise OutputRefusedError(_problems(_error_of(response)))
        raise _refusal("does not take the result", response)

    async def _persistently(
        self, method: str, url: str, body: JsonObject | None, timeout_seconds: float | None
    ) -> httpx2.Response:
        """Send until there is an answer that another attempt would not change; without a timeout as long as it takes."""
        pause = self._bounds.retry_pause_seconds
        last = "no attempt was made"
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    response = await self._client.request(method, url, json=body)
                    if not _is_passing(response):
                        return response
                    last = _said(response)
                    if response.status_code == _NO_CONTENT:
                        pause = self._bounds.retry_pause_seconds
                    await self._sleep(self._pause(response, pause))
                    pause = min(2 * pause, self._bounds.max_retry_pause_seconds)
        except TimeoutError as error:
            raise CannotReportError(
                f"the gateway at {url} gave no answer in {timeout_seconds or 0:g} seconds: {last}"
            ) from error

    def _pause(self, response: httpx2.Response, pause: float) -> float:
        asked = response.headers.get("Retry-After", "")
        seconds = float(asked) if asked.isdecimal() else pause
        return min(seconds, self._bounds.max_retry_pause_seconds)


def _assignment(response: httpx2.Response) -> Assignment:
    if not response.is_success:
        raise _refusal("does not hand out a task", response)
    try:
        return Assignment.model_validate_json(response.content)
    except ValidationError as error:
        raise CannotReportError(f"the gateway's task can't be read: {_fields(error)}") from error


def _is_passing(response: httpx2.Response) -> bool:
    if response.status_code == _NO_CONTENT:
        # To a result that is the answer; to who asks for a task it says that there is none yet.
        return response.request.method == "GET"
    return response.status_code == _TOO_MANY_REQUESTS or response.status_code >= _SERVER_ERROR


def _error_of(response: httpx2.Response) -> ErrorBody:
    try:
        return _ErrorResponse.model_validate_json(response.content).error
    except ValidationError:
        return ErrorBody()


def _problems(error: ErrorBody) -> tuple[str, ...]:
    found = tuple(str(problem) for problem in error.details)
    return found or (error.message or "the output does not fit the agent's schema",)


def _refusal(what: str, response: httpx2.Response) -> CannotReportError:
    return CannotReportError(f"the gateway {what}: {_said(response)}")


def _said(response: httpx2.Response) -> str:
    error = _error_of(response)
    said = ": ".join(str(part) for part in (error.code, error.message) if part)
    return shortened(f"HTTP {response.status_code} {said}".rstrip())


def _fields(error: ValidationError) -> str:
    return ", ".join(
        ".".join(str(part) for part in item["loc"]) for item in error.errors(include_input=False)
    )
