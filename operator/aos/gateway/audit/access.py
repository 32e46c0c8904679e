"""Who asks for audit rows or records, and whether they may: the API server judges both."""

from http import HTTPStatus
from typing import Final, Protocol

from aos.gateway.http import HttpRequest
from aos.gateway.refusal import Refusal, RefusalCode
from aos.kube.errors import ApiError
from aos.kube.reviews import AccessRequest, TokenReview, UserInfo
from aos.model.names import AUDIENCE_AUDIT, AUDIT_TOKEN_HEADER, GROUP

MAX_TOKEN_BYTES: Final = 8192
_HEADER: Final = AUDIT_TOKEN_HEADER.lower().encode()


class Reviewer(Protocol):
    """What is asked of a client; `aos.kube.client.ApiClient` has it."""

    async def token_review(self, token: str, audiences: tuple[str, ...] = ()) -> TokenReview:
        """Return the API server's verdict on a token."""

    async def may(self, user: UserInfo, access: AccessRequest) -> bool:
        """Return whether the user may do this."""


class Access:
    """Judges readers. Nothing is remembered: people read seldom, and a right that was taken away must be gone."""

    def __init__(self, reviewer: Reviewer) -> None:
        self._reviewer = reviewer

    async def user(self, request: HttpRequest) -> UserInfo:
        """Return who asks.

        Raises:
            Refusal: nobody that can be told (403), or that can't be found out now (503).
        """
        token = request.header(_HEADER)
        if not token or len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise _forbidden(
                RefusalCode.NO_TOKEN,
                f"send a service account's token for the audience {AUDIENCE_AUDIT} as {AUDIT_TOKEN_HEADER}",
            )
        try:
            review = await self._reviewer.token_review(token.decode("ascii"), (AUDIENCE_AUDIT,))
        except ApiError as error:
            raise _unavailable("review tokens", error) from error
        if not review.authenticated or AUDIENCE_AUDIT not in review.audiences or not review.user.username:
            raise _forbidden(
                RefusalCode.TOKEN_NOT_ACCEPTED,
                f"the API server does not accept the token for the audience {AUDIENCE_AUDIT}",
            )
        return review.user

    async def require(self, user: UserInfo, verb: str, resource: str, namespace: str) -> None:
        """Return if the user may; an empty namespace stands for all of them.

        Raises:
            Refusal: the user may not (403), or that can't be found out now (503).
        """
        try:
            allowed = await self._reviewer.may(user, AccessRequest(verb, GROUP, resource, namespace))
        except ApiError as error:
            raise _unavailable("say who may read", error) from error
        if allowed:
            return
        where = f"in namespace {namespace}" if namespace else "in all namespaces"
        raise _forbidden(
            RefusalCode.FORBIDDEN,
            f"{user.username} may not {verb} {resource}.{GROUP} {where};"
            " an administrator can bind the ClusterRole aos-auditor (reads) or aos-records-manager (reads and changes)"
            " to it; `aos` reads with another account by --service-account",
        )


def _forbidden(code: RefusalCode, message: str) -> Refusal:
    return Refusal(HTTPStatus.FORBIDDEN, code, message)


def _unavailable(what: str, error: ApiError) -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        RefusalCode.IDENTITY_UNAVAILABLE,
        f"the API server does not {what} for the gateway: {error.reason or error.message}",
        retry_after_seconds=1,
    )
