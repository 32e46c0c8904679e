"""The ValidatingAdmissionPolicies that guard AOS: the single source of what the chart installs and the operator checks.

Every default of the API server is spelled out, so that what is read back equals what is made here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.model.names import GROUP, LABEL_PART_OF, MANAGED_BY
from aos.reconcile.children import CREDENTIAL_VERBS, RBAC_GROUP

AGENT_IDENTITY: Final = "aos-agent-identity"
STATUS_OWNERSHIP: Final = "aos-status-ownership"
TASK_REQUESTER: Final = "aos-task-requester"
TASK_LINEAGE: Final = "aos-task-lineage"
CREDENTIAL_ROLES: Final = "aos-credential-roles"
POLICY_NAMES: Final = (AGENT_IDENTITY, STATUS_OWNERSHIP, TASK_REQUESTER, TASK_LINEAGE, CREDENTIAL_ROLES)

_API_VERSION: Final = "admissionregistration.k8s.io/v1"
_ACCOUNT: Final = "aos-agent-"
_SERVICE_ACCOUNT: Final = "system:serviceaccount:"


def admission_policies(operator_username: str, gateway_username: str) -> list[JsonObject]:
    """Return each policy followed by its binding.

    Args:
        operator_username: ``system:serviceaccount:NAMESPACE:NAME`` of the operator.
        gateway_username: the same of the gateway.

    Raises:
        ValueError: a user name is not that of a service account.
    """
    who = _Who(_account(operator_username), _account(gateway_username))
    made = (
        _agent_identity(who),
        _status_ownership(who),
        _task_requester(who),
        _task_lineage(who),
        _credential_roles(who),
    )
    return [manifest for policy in made for manifest in (policy.manifest(), policy.binding())]


@dataclass(frozen=True, slots=True)
class _Account:
    namespace: str
    name: str

    @property
    def username(self) -> str:
        return f"{_SERVICE_ACCOUNT}{self.namespace}:{self.name}"

    @property
    def is_caller(self) -> str:
        """CEL: whether the request comes from it."""
        return f"request.userInfo.username == '{self.username}'"


def _account(username: str) -> _Account:
    parts = username.removeprefix(_SERVICE_ACCOUNT).split(":")
    if not username.startswith(_SERVICE_ACCOUNT) or len(parts) != 2 or not all(parts):  # noqa: PLR2004
        raise ValueError(f"{username!r} is no service account: write system:serviceaccount:NAMESPACE:NAME")
    return _Account(namespace=parts[0], name=parts[1])


@dataclass(frozen=True, slots=True)
class _Who:
    operator: _Account
    gateway: _Account


@dataclass(frozen=True, slots=True)
class _Rule:
    """Requests that a policy looks at."""

    group: str
    version: str
    operations: Sequence[str]
    resources: Sequence[str]

    def manifest(self) -> JsonObject:
        return {
            "apiGroups": [self.group],
            "apiVersions": [self.version],
            "operations": list(self.operations),
            "resources": list(self.resources),
            "scope": "*",
        }


@dataclass(frozen=True, slots=True)
class _Check:
    """A CEL expression that must hold, and what to say when it does not."""

    expression: str
    message: str

    def manifest(self) -> JsonObject:
        return {"expression": self.expression, "message": self.message, "reason": "Forbidden"}


@dataclass(frozen=True, slots=True)
class _Policy:
    name: str
    rules: Sequence[_Rule]
    checks: Sequence[_Check]
    variables: Sequence[tuple[str, str]] = ()
    conditions: Sequence[tuple[str, str]] = ()

    def manifest(self) -> JsonObject:
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


def _agent_identity(who: _Who) -> _Policy:
    """Only the operator makes pods of an agent's account; nobody changes them; nobody else gets its tokens."""
    # Deployments and their like are refused as well, so that their author hears of it and not only a controller.
    borrows = " || ".join(
        f"variables.podSpec.?{field}.orValue('').startsWith('{_ACCOUNT}')"
        for field in ("serviceAccountName", "serviceAccount")
    )
    paths = {
        "Pod": "?spec",
        "CronJob": "?spec.?jobTemplate.?spec.?template.?spec",
        "PodTemplate": "?template.?spec",
    }
    # An optional that is kept in a variable reads as empty further on: each variable holds the value itself.
    pod_spec = (
        "".join(
            f"request.kind.kind == '{kind}' ? dyn(object).{path}.orValue({{}}) : "
            for kind, path in paths.items()
        )
        + "dyn(object).?spec.?template.?spec.orValue({})"
    )
    unchanged = (
        "request.operation == 'UPDATE' && request.kind.kind == 'Pod' && object.spec == oldObject.spec"
        " && object.metadata.?labels.orValue({}) == oldObject.metadata.?labels.orValue({})"
        " && object.metadata.?annotations.orValue({}) == oldObject.metadata.?annotations.orValue({})"
    )
    return _Policy(
        name=AGENT_IDENTITY,
        rules=(
            _Rule("", "v1", ("CREATE", "UPDATE"), ("pods", "replicationcontrollers", "podtemplates")),
            _Rule("", "v1", ("UPDATE",), ("pods/ephemeralcontainers", "pods/resize")),
            _Rule("", "v1", ("CREATE",), ("serviceaccounts/token",)),
            _Rule("", "v1", ("CREATE", "UPDATE"), ("secrets",)),
            _Rule(
                "apps",
                "v1",
                ("CREATE", "UPDATE"),
                ("deployments", "statefulsets", "daemonsets", "replicasets"),
            ),
            _Rule("batch", "v1", ("CREATE", "UPDATE"), ("jobs", "cronjobs")),
        ),
        variables=(
            ("podSpec", pod_spec),
            ("borrows", borrows),
            ("isToken", "request.?subResource.orValue('') == 'token'"),
            ("isSecret", "request.kind.kind == 'Secret'"),
            ("isOperator", who.operator.is_caller),
            ("isKubelet", "request.userInfo.username.startsWith('system:node:')"),
            ("isUnchanged", unchanged),
        ),
        checks=(
            _Check(
                "variables.isToken || variables.isSecret || variables.isOperator || variables.isUnchanged"
                " || !variables.borrows",
                f"service accounts named {_ACCOUNT}* belong to agents: only the AOS operator makes pods with them, and"
                " nobody changes those pods. Create a Task for the agent, or use another service account",
            ),
            _Check(
                f"!variables.isToken || !request.name.startsWith('{_ACCOUNT}') || variables.isKubelet",
                f"tokens of service accounts named {_ACCOUNT}* are made for agent pods by the kubelet alone. Create a"
                " Task for the agent",
            ),
            _Check(
                "!variables.isSecret || dyn(object).?type.orValue('') != 'kubernetes.io/service-account-token'"
                " || !object.metadata.?annotations[?'kubernetes.io/service-account.name'].orValue('')"
                f".startsWith('{_ACCOUNT}')",
                f"service accounts named {_ACCOUNT}* belong to agents and get no long-lived tokens. Create a Task for the"
                " agent",
            ),
        ),
    )


def _status_ownership(who: _Who) -> _Policy:
    """Operator and gateway each write their own part of a status, nobody else any, and what is final stays."""
    return _Policy(
        name=STATUS_OWNERSHIP,
        rules=(
            _Rule(
                GROUP,
                "*",
                ("UPDATE",),
                ("agents/status", "tools/status", "models/status", "policies/status", "tasks/status"),
            ),
        ),
        variables=(
            ("isOperator", who.operator.is_caller),
            ("isGateway", who.gateway.is_caller),
            ("resource", "request.resource.resource"),
            ("old", "dyn(oldObject).?status.orValue({})"),
            ("new", "dyn(object).?status.orValue({})"),
            ("oldConditions", "variables.old.?conditions.orValue([])"),
            ("newConditions", "variables.new.?conditions.orValue([])"),
        ),
        checks=(
            _Check(
                "variables.isOperator"
                " || (variables.isGateway && variables.resource in ['tools', 'models', 'tasks'])",
                "this status is written by AOS itself; change spec instead",
            ),
            _Check(
                "!variables.isOperator || variables.resource != 'tasks' || ("
                + _same("result")
                + " && "
                + _same("usage")
                + ")",
                "result and usage of a Task are the gateway's",
            ),
            _Check(
                "!variables.isGateway || variables.resource != 'tasks' || ("
                + " && ".join(
                    _same(name)
                    for name in (
                        "conditions",
                        "pod",
                        "revision",
                        "startTime",
                        "completionTime",
                        "observedGeneration",
                    )
                )
                + ")",
                "of a Task's status the gateway writes result and usage alone",
            ),
            _Check(
                "!variables.isOperator || !(variables.resource in ['tools', 'models'])"
                f" || ({_same('actions')} && {_same_conditions('Available', equal=True)})",
                "actions and the condition Available are the gateway's",
            ),
            _Check(
                "!variables.isGateway || !(variables.resource in ['tools', 'models'])"
                f" || ({_same('observedGeneration')} && {_same_conditions('Available', equal=False)})",
                "of this status the gateway writes actions and the condition Available alone",
            ),
            *_final_parts(),
        ),
    )


def _final_parts() -> tuple[_Check, ...]:
    """What of a Task's status never changes again, whoever writes."""
    return (
        _Check(
            "variables.resource != 'tasks' || !variables.old.?result.hasValue() || " + _same("result"),
            "a Task's result is final",
        ),
        _Check(
            "variables.resource != 'tasks' || !variables.old.?pod.hasValue() || " + _same("pod"),
            "a Task has one pod, and its record is final",
        ),
        _Check(
            "variables.resource != 'tasks' || variables.oldConditions.all(c, c.type != 'Succeeded'"
            " || c.status == 'Unknown' || variables.newConditions.exists(n, n.type == 'Succeeded'"
            " && n.status == c.status && n.reason == c.reason))",
            "a Task's end is final",
        ),
    )


def _same(field: str) -> str:
    """CEL: the field of the status is as it was, or was not and is not."""
    old, new = f"variables.old.?{field}", f"variables.new.?{field}"
    return f"({old}.hasValue() ? ({new}.hasValue() && {old}.value() == {new}.value()) : !{new}.hasValue())"


def _same_conditions(name: str, *, equal: bool) -> str:
    """CEL: the conditions of that type (or of every other) are as they were."""
    sign = "==" if equal else "!="
    chosen = f"filter(c, c.type {sign} '{name}')"
    return f"(variables.oldConditions.{chosen} == variables.newConditions.{chosen})"


def _task_requester(who: _Who) -> _Policy:
    """Whoever creates a Task asks for it under their own name; what is handed over is asked for by who asked first."""
    return _Policy(
        name=TASK_REQUESTER,
        rules=(_Rule(GROUP, "*", ("CREATE",), ("tasks",)),),
        checks=(
            _Check(
                "object.spec.?requestedBy.orValue('') in ['', request.userInfo.username]"
                f" || {who.operator.is_caller} || {who.gateway.is_caller}",
                "spec.requestedBy must be your own user name, or left out; `kubectl auth whoami` tells it",
            ),
        ),
    )


def _task_lineage(who: _Who) -> _Policy:
    """Only the gateway and the operator say where a Task comes from, and the gateway touches no other Tasks."""
    # What went before the newest entry no admission policy can look up: the gateway copies it from the Task there.
    belongs = (
        "object.metadata.?ownerReferences.orValue([]).exists_one(o, o.kind == 'Task'"
        f" && o.apiVersion.startsWith('{GROUP}/') && o.?controller.orValue(false)"
        " && o.name == variables.newest.task && o.uid == variables.newest.taskUID)"
    )
    return _Policy(
        name=TASK_LINEAGE,
        rules=(_Rule(GROUP, "*", ("CREATE", "DELETE"), ("tasks",)),),
        variables=(
            ("isOperator", who.operator.is_caller),
            ("isGateway", who.gateway.is_caller),
            ("isCreated", "request.operation == 'CREATE'"),
            (
                "lineage",
                "(request.operation == 'CREATE' ? dyn(object) : dyn(oldObject)).?spec.?lineage.orValue([])",
            ),
            ("newest", "variables.lineage[size(variables.lineage) - 1]"),
        ),
        checks=(
            _Check(
                "!variables.isCreated || variables.isOperator || variables.isGateway || size(variables.lineage) == 0",
                "spec.lineage is written by the AOS gateway when an agent hands work over; leave it out",
            ),
            _Check(
                "!variables.isGateway || size(variables.lineage) > 0",
                "the gateway creates and deletes only Tasks that an agent hands over",
            ),
            _Check(
                f"!variables.isCreated || size(variables.lineage) == 0 || {belongs}",
                "a Task that was handed over belongs to the Task that spec.lineage names last, as its controller",
            ),
        ),
    )


def _credential_roles(who: _Who) -> _Policy:
    """The operator may write Roles, or it could not lend a Secret to the gateway; this leaves it that one shape."""
    owner = (
        f"object.metadata.?ownerReferences.orValue([]).exists_one(o, o.apiVersion.startsWith('{GROUP}/')"
        " && o.kind in ['Tool', 'Model'] && object.metadata.name == 'aos-' + o.kind.lowerAscii() + '-' + o.name)"
    )
    verbs = ", ".join(f"'{verb}'" for verb in CREDENTIAL_VERBS)
    gateway = who.gateway
    return _Policy(
        name=CREDENTIAL_ROLES,
        rules=(_Rule(RBAC_GROUP, "*", ("CREATE", "UPDATE"), ("roles", "rolebindings")),),
        conditions=(("is-operator", who.operator.is_caller),),
        checks=(
            _Check(owner, "the operator writes only Roles and RoleBindings that belong to a Tool or Model"),
            _Check(
                f"request.namespace != '{who.operator.namespace}'",
                "the operator lends out no Secrets of its own namespace",
            ),
            _Check(
                "request.kind.kind != 'Role' || (size(object.rules) == 1"
                " && object.rules[0].?apiGroups.orValue([]) == ['']"
                " && object.rules[0].?resources.orValue([]) == ['secrets']"
                " && size(object.rules[0].?resourceNames.orValue([])) == 1"
                " && object.rules[0].resourceNames[0] != ''"
                f" && object.rules[0].verbs == [{verbs}]"
                " && size(object.rules[0].?nonResourceURLs.orValue([])) == 0)",
                "the operator writes only Roles that allow reading one named Secret",
            ),
            _Check(
                "request.kind.kind != 'RoleBinding' || (object.roleRef.kind == 'Role'"
                " && object.roleRef.name == object.metadata.name && size(object.?subjects.orValue([])) == 1"
                " && object.subjects[0].kind == 'ServiceAccount'"
                f" && object.subjects[0].name == '{gateway.name}'"
                f" && object.subjects[0].namespace == '{gateway.namespace}')",
                "the operator binds its Roles to the gateway alone",
            ),
        ),
    )
