"""What an HTTP status proves of a request: whether it is certain that nothing was done. No I/O."""

from http import HTTPStatus
from typing import Final

_UNDONE: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.PAYMENT_REQUIRED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.CONFLICT,
        HTTPStatus.GONE,
        HTTPStatus.LENGTH_REQUIRED,
        HTTPStatus.PRECONDITION_FAILED,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        HTTPStatus.EXPECTATION_FAILED,
        HTTPStatus.IM_A_TEAPOT,
        HTTPStatus.MISDIRECTED_REQUEST,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.LOCKED,
        HTTPStatus.UPGRADE_REQUIRED,
        HTTPStatus.PRECONDITION_REQUIRED,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS,
    }
)
"""Refusals of the request itself, RFC 9110, section 15.5, RFC 6585, RFC 4918 and RFC 7725.

Not among them: 406, which many a server finds out when it writes the answer; 408, 425 and 499, said by what stands before
a system of a request that may be under way; 424, since something was tried; and every number that no RFC gives a meaning.
A redirect is none either: who does a write may lead to what came of it (303, and 302 as it is used).
"""


def is_undone(status: int) -> bool:
    """Whether an answer with ``status`` says for certain that the request was not carried out, not even in part."""
    return status in _UNDONE
