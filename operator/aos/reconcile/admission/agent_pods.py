"""CEL: what a pod of an agent may have, so that whoever acts in the operator's name gets no more of a node or of a namespace."""

from collections.abc import Sequence
from typing import Final

from aos.model.names import AUDIENCE_GATEWAY, LABEL_AGENT, LABEL_MANAGED_BY, MANAGED_BY
from aos.reconcile.admission.shape import AGENT_ACCOUNT, Check

_EXEMPT: Final = "a mutating webhook that adds some has to leave out pods with the label aos.dev/agent"
_PROBES: Final = ("startupProbe", "livenessProbe", "readinessProbe")
_HOOKS: Final = ("postStart", "preStop")
_SPEC: Final = "variables.podSpec"


def pod_variables() -> tuple[tuple[str, str], ...]:
    """Return the variables that `pod_checks` go by: of a pod itself, or of a Deployment's template."""
    return (
        ("isPod", "request.kind.kind == 'Pod'"),
        (
            "makesPods",
            (
                "request.kind.kind == 'Deployment' ? request.operation != 'DELETE'"
                " : (variables.isPod && request.operation == 'CREATE')"
            ),
        ),
        (
            "podSpec",
            "variables.isPod ? dyn(object).?spec.orValue({}) : dyn(object).?spec.?template.?spec.orValue({})",
        ),
        (
            "podLabels",
            (
                "variables.isPod ? dyn(object).metadata.?labels.orValue({})"
                " : dyn(object).?spec.?template.?metadata.?labels.orValue({})"
            ),
        ),
        ("containers", f"{_SPEC}.?containers.orValue([]) + {_SPEC}.?initContainers.orValue([])"),
    )


def pod_checks() -> tuple[Check, ...]:
    """Return what holds for each pod that the operator makes, and for each template of a Deployment."""
    return (
        _made(
            f"variables.podLabels[?'{LABEL_MANAGED_BY}'].orValue('') == '{MANAGED_BY}'"
            f" && variables.podLabels[?'{LABEL_AGENT}'].orValue('') != ''"
            f" && {_SPEC}.?serviceAccountName.orValue('') == '{AGENT_ACCOUNT}' + variables.podLabels['{LABEL_AGENT}']"
            f" && {_SPEC}.?automountServiceAccountToken.orValue(true) == false",
            f"the operator makes only pods of agents: with the labels {LABEL_MANAGED_BY}: {MANAGED_BY} and {LABEL_AGENT}: NAME,"
            f" the service account {AGENT_ACCOUNT}NAME, and no token of it by itself",
        ),
        _made(
            _none("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")
            + f" && {_SPEC}.?nodeName.orValue('') == '' && size({_SPEC}.?resourceClaims.orValue([])) == 0"
            + f" && !{_SPEC}.?priorityClassName.orValue('').startsWith('system-')"
            + f" && {_SPEC}.?securityContext.?runAsNonRoot.orValue(false)"
            + f" && {_SPEC}.?securityContext.?runAsUser.orValue(0) != 0"
            + f" && {_SPEC}.?securityContext.?seccompProfile.?type.orValue('') == 'RuntimeDefault'"
            + f" && size({_SPEC}.?securityContext.?sysctls.orValue([])) == 0"
            + f" && !{_SPEC}.?securityContext.?windowsOptions.hasValue()",
            "agents' pods have nothing of their node: no host namespaces, no node or device of their choice, no system"
            " priority, no root, no sysctls, and the seccomp profile RuntimeDefault",
        ),
        _made(
            "variables.containers.all(c, c.?securityContext.?allowPrivilegeEscalation.orValue(true) == false"
            " && !c.?securityContext.?privileged.orValue(false)"
            " && c.?securityContext.?readOnlyRootFilesystem.orValue(false)"
            " && 'ALL' in c.?securityContext.?capabilities.?drop.orValue([])"
            " && size(c.?securityContext.?capabilities.?add.orValue([])) == 0"
            " && c.?securityContext.?runAsNonRoot.orValue(true)"
            " && c.?securityContext.?runAsUser.orValue(1) != 0"
            " && !c.?securityContext.?seccompProfile.hasValue()"
            " && !c.?securityContext.?windowsOptions.hasValue()"
            " && c.?securityContext.?procMount.orValue('Default') == 'Default')",
            "containers of agents' pods are unprivileged: no escalation, no capabilities, a read-only root, nothing that"
            " loosens what holds for the pod",
        ),
        _made(
            f"{_SPEC}.?volumes.orValue([]).all(v, v.?emptyDir.hasValue() || v.?downwardAPI.hasValue()"
            " || (v.?projected.hasValue() && v.projected.?sources.orValue([]).all(s,"
            f" s.?serviceAccountToken.?audience.orValue('') == '{AUDIENCE_GATEWAY}')))",
            "agents' pods mount no Secrets, no ConfigMaps, nothing of a node and no claims: only room of their own, and the"
            f" token for the gateway; {_EXEMPT}",
        ),
        _made(
            "variables.containers.all(c, size(c.?envFrom.orValue([])) == 0 && c.?env.orValue([]).all(e,"
            " !e.?valueFrom.?secretKeyRef.hasValue() && !e.?valueFrom.?configMapKeyRef.hasValue()))",
            f"agents' pods get nothing of Secrets and ConfigMaps as variables; {_EXEMPT}",
        ),
        _made(
            f"variables.containers.all(c, size(c.?ports.orValue([])) == 0 && {_calls_nobody()})",
            "nothing connects to agents' pods, and no kubelet asks anybody for them: no ports, and probes and hooks by"
            f" command alone; {_EXEMPT}",
        ),
    )


def _made(expression: str, message: str) -> Check:
    return Check(f"!variables.makesPods || ({expression})", message)


def _none(*fields: str) -> str:
    return " && ".join(f"!{_SPEC}.?{field}.orValue(false)" for field in fields)


def _calls_nobody() -> str:
    handlers: Sequence[str] = [
        *(f"c.?{probe}" for probe in _PROBES),
        *(f"c.?lifecycle.?{hook}" for hook in _HOOKS),
    ]
    return " && ".join(
        f"!{handler}.?{way}.hasValue()" for handler in handlers for way in ("httpGet", "tcpSocket", "grpc")
    )
