"""Errors as OpenAI's API writes them, so that its clients raise what they raise elsewhere. No I/O."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson

from aos.gateway.refusal import Refusal, RefusalCode
from aos.policy.decision import DecisionReason

_TYPES: Final[Mapping[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}


class ModelFailure(Exception):  # noqa: N818 - an answer, not a fault of the program
    """An answer other than the one asked for.

    Attributes:
        status: of HTTP.
        reason: why, for the record.
        message: for people and for the model's user; it holds nothing secret.
        code: as OpenAI's clients know it; the reason's where they know none.
        retry_after_seconds: when to try again; 0 where nobody said.
    """

    def __init__(
        self,
        status: int,
        reason: RefusalCode | DecisionReason,
        message: str,
        *,
        code: str = "",
        retry_after_seconds: int = 0,
    ) -> None:
        super().__init__(reason.value, message)
        self.status = status
        self.reason = reason
        self.message = message
        self.code = code or reason.value
        self.retry_after_seconds = retry_after_seconds

    @classmethod
    def of(cls, refusal: Refusal) -> "ModelFailure":
        """Return a refusal of the gateway in this form."""
        return cls(
            refusal.status,
            refusal.code,
            refusal.message,
            retry_after_seconds=refusal.retry_after_seconds,
        )

    def saying(self, message: str, code: str) -> "ModelFailure":
        """Return the same in other words."""
        return ModelFailure(
            self.status, self.reason, message, code=code, retry_after_seconds=self.retry_after_seconds
        )

    def body(self) -> bytes:
        """Return the answer's JSON."""
        return orjson.dumps(
            {
                "error": {
                    "message": self.message,
                    "type": self._type(),
                    "param": None,
                    "code": self.code,
                }
            }
        )

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the answer's own headers."""
        return [(b"retry-after", b"%d" % self.retry_after_seconds)] if self.retry_after_seconds else []

    def _type(self) -> str:
        if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return "api_error"
        return _TYPES.get(self.status, "invalid_request_error")
