"""A ValidatingAdmissionPolicy and its binding, with every default of the API server spelled out.

What is read back then equals what is made here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.names import LABEL_PART_OF, MANAGED_BY

_API_VERSION: Final = "admissionregistration.k8s.io/v1"
ACCOUNT_PREFIX: Final = "system:serviceaccount:"
"""With what user names of service accounts begin."""
AGENT_ACCOUNT: Final = "aos-agent-"
"""With what names of agents' service accounts begin."""


@dataclass(frozen=True, slots=True)
class Account:
    """A service account."""

    namespace: str
    name: str

    @property
    def username(self) -> str:
        """Its user name."""
        return f"{ACCOUNT_PREFIX}{self.namespace}:{self.name}"

    @property
    def is_caller(self) -> str:
        """CEL: whether the request comes from it."""
        return f"request.userInfo.username == '{self.username}'"


def service_account(username: str) -> Account:
    """Return the service account of that user name.

    Raises:
        ValueError: the user name is not that of a service account.
    """
    parts = username.removeprefix(ACCOUNT_PREFIX).split(":")
    if not username.startswith(ACCOUNT_PREFIX) or len(parts) != 2 or not all(parts):  # noqa: PLR2004
        raise ValueError(f"{username!r} is no service account: write system:serviceaccount:NAMESPACE:NAME")
    return Account(namespace=parts[0], name=parts[1])


@dataclass(frozen=True, slots=True)
class Who:
    """The accounts that AOS itself runs as."""

    operator: Account
    gateway: Account


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests that a policy looks at."""

    group: str
    version: str
    operations: Sequence[str]
    resources: Sequence[str]

    def manifest(self) -> JsonObject:
        """Return it as the API server stores it."""
        return {
            "apiGroups": [self.group],
            "apiVersions": [self.version],
            "operations": list(self.operations),
            "resources": list(self.resources),
            "scope": "*",
        }


@dataclass(frozen=True, slots=True)
class Check:
    """A CEL expression that must hold, and what to say when it does not.

    Attributes:
        expression: CEL; false refuses the request.
        message: why, and the way out.
        message_expression: CEL that says it with values; where it fails, ``message`` is said.
    """

    expression: str
    message: str
    message_expression: str = ""

    def manifest(self) -> JsonObject:
        """Return it as the API server stores it."""
        made: JsonObject = {"expression": self.expression, "message": self.message, "reason": "Forbidden"}
        return made | ({"messageExpression": self.message_expression} if self.message_expression else {})


@dataclass(frozen=True, slots=True)
class Policy:
    """Requests that are looked at, and what must hold for each."""

    name: str
    rules: Sequence[Rule]
    checks: Sequence[Check]
    variables: Sequence[tuple[str, str]] = ()
    conditions: Sequence[tuple[str, str]] = ()

    def manifest(self) -> JsonObject:
        """Return it as the API server stores it."""
        spec: JsonObject = {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {},
                "objectSelector": {},
                "resourceRules": [rule.manifest() for rule in self.rules],
            },
            "validations": [check.manifest() for check in self.checks],
        }
        if self.variables:
            spec["variables"] = _named(self.variables)
        if self.conditions:
            spec["matchConditions"] = _named(self.conditions)
        return {
            "apiVersion": _API_VERSION,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": self._metadata(),
            "spec": spec,
        }

    def binding(self) -> JsonObject:
        """Return the binding that makes it count everywhere."""
        return {
            "apiVersion": _API_VERSION,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": self._metadata(),
            "spec": {"policyName": self.name, "validationActions": ["Deny"]},
        }

    def _metadata(self) -> JsonObject:
        return {"name": self.name, "labels": {LABEL_PART_OF: MANAGED_BY}}


def _named(pairs: Sequence[tuple[str, str]]) -> list[JsonValue]:
    return [{"name": name, "expression": expression} for name, expression in pairs]
