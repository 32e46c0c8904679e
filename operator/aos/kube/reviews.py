"""What the API server says about a token or about ourselves, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from aos.kube.objects import child, text, texts


@dataclass(frozen=True, slots=True)
class UserInfo:
    """A user as the API server knows it.

    Attributes:
        username: such as ``system:serviceaccount:sales:aos-agent-lead-enricher``.
        uid: unique over time; empty where the authenticator has none.
        groups: groups that the API server vouches for.
        extra: further facts, such as the pod that a token is bound to.
    """

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: Mapping[str, JsonValue]) -> "UserInfo":
        """Return what the ``user`` part of a review says."""
        extra = child(raw, "extra")
        return cls(
            username=text(raw, "username"),
            uid=text(raw, "uid"),
            groups=texts(raw, "groups"),
            extra={name: texts(extra, name) for name in extra},
        )


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """What somebody wants to do.

    Attributes:
        verb: as RBAC spells it.
        group: API group.
        resource: in the plural; it need not exist.
        namespace: empty for all of them.
        name: empty for every object.
    """

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def attributes(self) -> dict[str, JsonValue]:
        """Return it as a review spells it."""
        named: dict[str, JsonValue] = {"name": self.name} if self.name else {}
        return {
            "verb": self.verb,
            "group": self.group,
            "resource": self.resource,
            "namespace": self.namespace,
            **named,
        }


@dataclass(frozen=True, slots=True)
class TokenReview:
    """The API server's verdict on a token.

    Attributes:
        authenticated: True only if the API server said exactly that.
        user: whose token it is; empty unless authenticated.
        audiences: which of the audiences asked for the token is meant for.
        error: why the token was not accepted, as far as the API server says.
    """

    authenticated: bool
    user: UserInfo
    audiences: tuple[str, ...]
    error: str

    @classmethod
    def parse(cls, raw: Mapping[str, JsonValue]) -> "TokenReview":
        """Return what an answered TokenReview says; anything unclear counts as not authenticated."""
        status = child(raw, "status")
        authenticated = status.get("authenticated") is True
        return cls(
            authenticated=authenticated,
            user=UserInfo.parse(child(status, "user")) if authenticated else UserInfo(),
            audiences=texts(status, "audiences") if authenticated else (),
            error=text(status, "error"),
        )


def is_allowed(raw: Mapping[str, JsonValue]) -> bool:
    """Return what an answered SubjectAccessReview says; anything unclear is no."""
    status = child(raw, "status")
    return status.get("allowed") is True and status.get("denied") is not True
