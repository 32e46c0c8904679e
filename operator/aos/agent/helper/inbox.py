"""The Task's own endpoints at the gateway, for a helper that hands the Task to the image's A2A server."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aos.agent.helper.a2a import JsonObject
from aos.agent.helper.origin import FAULTS, Answer, Origin
from aos.agent.helper.settings import Bounds
from aos.agent.helper.wire import Headers
from aos.agent.journal import Journal, Level
from aos.model.names import TASK_HEADER

_TASK: Final = b"/v1/task"
_RESULT: Final = b"/v1/task/result"
_OK: Final = 200
_NO_CONTENT: Final = 204
_UNPROCESSABLE: Final = (400, 413, 422)
_REFUSED: Final = 300
_UNAUTHORIZED: Final = 401
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Assignment:
    """One Task: which, and what it is given."""

    uid: str
    name: str
    input: JsonObject


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the gateway does not take an output."""

    message: str


class Inbox:
    """Asks the gateway for Tasks and hands their results in; whatever may be tried again is."""

    def __init__(self, gateway: Origin, token: Callable[[], bytes], bounds: Bounds, journal: Journal) -> None:
        self._gateway = gateway
        self._token = token
        self._bounds = bounds
        self._journal = journal

    async def wait(self) -> Assignment:
        """Return the pod's next Task once there is one; a gateway that refuses is asked again, and said to once."""
        pause, told = self._bounds.retry_pause_seconds, ""
        while True:
            answer = await self._ask(b"GET", _TASK)
            if answer.status == _OK:
                return _assignment(answer.body)
            if answer.status == _NO_CONTENT:
                pause = self._bounds.retry_pause_seconds
            elif (code := _code(answer)) != told:
                told = code
                self._journal.write("no task", Level.WARNING, reason=code)
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._bounds.max_retry_pause_seconds)

    async def is_open(self, uid: str) -> bool:
        """Return whether the Task is still this pod's; where that can't be told, it is taken to be."""
        answer = await self._ask(b"GET", _TASK, uid)
        # A token may be just being replaced.
        return answer.status in (_OK, _UNAUTHORIZED) or _is_passing(answer)

    async def post(self, uid: str, result: JsonObject) -> Refusal | None:
        """Hand a result in; return why its content is not taken, None where it was or the Task has ended.

        Raises:
            OSError: the gateway did not take it in time.
        """
        body = json.dumps(result).encode()
        until = time.monotonic() + self._bounds.report_patience_seconds
        pause = self._bounds.retry_pause_seconds
        while True:
            answer = await self._ask(b"POST", _RESULT, uid, body)
            if answer.status in _UNPROCESSABLE:
                return Refusal(_message(answer))
            if not _is_passing(answer):
                said = "result posted" if answer.status < _REFUSED else "task had ended"
                self._journal.write(said, reason=_code(answer) if answer.body else None)
                return None
            if time.monotonic() + pause > until:
                raise OSError(f"the gateway does not take the result: {_code(answer)}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._bounds.max_retry_pause_seconds)

    async def _ask(self, method: bytes, target: bytes, uid: str = "", body: bytes = b"") -> Answer:
        try:
            headers: Headers = [(b"Authorization", b"Bearer " + self._token())]
            if uid:
                headers.append((TASK_HEADER.encode(), uid.encode()))
            if body:
                headers.append((b"Content-Type", b"application/json"))
            return await self._gateway.ask(
                method, target, headers, body, self._bounds.connect_patience_seconds
            )
        except FAULTS as error:
            return Answer(
                503, json.dumps({"error": {"code": f"no answer ({type(error).__name__})"}}).encode()
            )


def _assignment(body: bytes) -> Assignment:
    said = json.loads(body)
    return Assignment(
        uid=said["uid"],
        name=said["name"],
        input=said["input"],
    )


def _is_passing(answer: Answer) -> bool:
    return answer.status == _TOO_MANY or answer.status >= _SERVER_ERROR


def _error(answer: Answer) -> JsonObject:
    try:
        error = json.loads(answer.body)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}


def _code(answer: Answer) -> str:
    return str(_error(answer).get("code", "")) or f"HTTP {answer.status}"


def _message(answer: Answer) -> str:
    error = _error(answer)
    details = error.get("details")
    places = [
        f"{item.get('path', '')}: {item.get('message', '')}"
        for item in (details if isinstance(details, list) else [])
        if isinstance(item, dict)
    ]
    return "; ".join([str(error.get("message", "")), *places])
