"""Why a tool or model gave no usable answer, in words that tell nothing of it."""

from aos.gateway.refusal import RefusalCode


class UpstreamError(Exception):
    """A tool or model gave no usable answer.

    Attributes:
        code: why.
        message: for the agent and for people; it tells nothing of addresses, credentials or what the other side said.
        maybe_done: whether the request may have been carried out all the same.
        status: of the HTTP response; 0 where there was none.
    """

    def __init__(self, code: RefusalCode, message: str, *, maybe_done: bool, status: int = 0) -> None:
        super().__init__(code.value, message)
        self.code = code
        self.message = message
        self.maybe_done = maybe_done
        self.status = status


def invalid(message: str, *, maybe_done: bool = True, status: int = 0) -> UpstreamError:
    """Return the failure of an answer that is not what was asked for."""
    return UpstreamError(RefusalCode.UPSTREAM_INVALID, message, maybe_done=maybe_done, status=status)


def too_large(max_bytes: int) -> UpstreamError:
    """Return the failure of an answer with more than ``max_bytes``."""
    return UpstreamError(
        RefusalCode.RESPONSE_TOO_LARGE, f"the answer has more than {max_bytes} bytes", maybe_done=True
    )
