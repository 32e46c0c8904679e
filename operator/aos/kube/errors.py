"""What the API server or the way to it refused, as errors named by what the caller should do next."""
# ruff: noqa: N818 - these names are the API server's own reasons

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from pydantic import JsonValue

from aos.kube.objects import child, number, text

_MAX_MESSAGE_LENGTH: Final = 2048


@dataclass(frozen=True, slots=True)
class Target:
    """What a request was about, for messages.

    Attributes:
        verb: what was tried, as RBAC names it.
        what: plural of the resource, or a path.
        key: ``namespace/name``, or the part of it that is known.
    """

    verb: str
    what: str
    key: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.what} {self.key}".rstrip()


class ApiError(Exception):
    """The API server did not do what was asked; this class itself stands for answers that have no class below.

    Attributes:
        status: HTTP status; 0 where no answer came.
        reason: the API server's one-word reason, such as ``NotFound``.
        message: the API server's own words.
        target: what was tried, on what.
    """

    def __init__(self, target: Target, status: int, reason: str, message: str) -> None:
        self.target = target
        self.status = status
        self.reason = reason
        self.message = message[:_MAX_MESSAGE_LENGTH]
        super().__init__(target, status, reason, message)

    def __str__(self) -> str:
        if not self.status:
            # No answer, no word of the API server's.
            return f"{self.target}: {self.message}"
        return f"{self.target}: {self.message} ({f'{self.status} {self.reason}'.strip()})"


class Unauthorized(ApiError):
    """The credentials are not known to the API server; the client has already read them anew once."""


class Forbidden(ApiError):
    """Not allowed: RBAC, admission or a namespace that is going away. Trying again helps only after a change."""


class QuotaExceeded(Forbidden):
    """A ResourceQuota of the namespace is used up: wait for room, or tell the namespace's owner."""


class NotFound(ApiError):
    """The object, its namespace or the kind is not there."""


class AlreadyExists(ApiError):
    """An object of that name is there: read it and decide."""


class Conflict(ApiError):
    """The object changed, or another field manager owns a field: read it anew and decide again."""


class Gone(ApiError):
    """The resource version or continue token is too old: list anew."""


class Invalid(ApiError):
    """The request or manifest is wrong and will stay so: correct it."""


class Unavailable(ApiError):
    """No answer, or one that says to come back: try again later.

    Attributes:
        retry_after_seconds: what the API server asked for; 0 where it did not say.
    """

    def __init__(
        self, target: Target, status: int, reason: str, message: str, retry_after_seconds: float = 0
    ) -> None:
        super().__init__(target, status, reason, message)
        self.retry_after_seconds = retry_after_seconds


class IdleWatch(Unavailable):
    """A watch carried nothing for longer than a healthy one can: its connection, or its position, is dead."""


def no_answer(target: Target, server: str, why: str, reason: str) -> Unavailable:
    """Return the error for a request that got no answer from ``server``, an address.

    Args:
        target: what was tried.
        server: where.
        why: a phrase for people.
        reason: one word for programs.
    """
    return Unavailable(target, 0, reason, f"the API server at {server} did not answer: {why}")


def error_of(
    target: Target, http_status: int, body: Mapping[str, JsonValue], retry_after_seconds: float = 0
) -> ApiError:
    """Return the error that a refused request's answer means.

    Args:
        target: what was tried.
        http_status: status of the answer; for an event of a watch, the code in its Status.
        body: the ``Status`` object in the answer; empty if there was none.
        retry_after_seconds: the answer's ``Retry-After``; 0 if it had none.
    """
    reason = text(body, "reason")
    message = text(body, "message") or _phrase(http_status)
    retry_after_seconds = retry_after_seconds or number(child(body, "details"), "retryAfterSeconds")
    if http_status == HTTPStatus.TOO_MANY_REQUESTS or http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable(target, http_status, reason, message, retry_after_seconds)
    return _class_of(http_status, reason, message)(target, http_status, reason, message)


def _class_of(http_status: int, reason: str, message: str) -> type[ApiError]:
    if http_status == HTTPStatus.CONFLICT and reason == "AlreadyExists":
        return AlreadyExists
    if http_status == HTTPStatus.FORBIDDEN and "is forbidden: exceeded quota: " in message:
        return QuotaExceeded
    return _BY_STATUS.get(http_status, ApiError)


_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    HTTPStatus.BAD_REQUEST: Invalid,
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.GONE: Gone,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Invalid,
    HTTPStatus.UNPROCESSABLE_ENTITY: Invalid,
}


def _phrase(http_status: int) -> str:
    try:
        return HTTPStatus(http_status).phrase
    except ValueError:
        return "no reason given"
