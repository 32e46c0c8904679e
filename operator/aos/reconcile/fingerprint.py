"""What a child says, as one digest: of the fields that the operator writes and of those that could undo them.

Equal digests of what is desired and what is there mean that nothing is to be written, so that the cache of the children
needs to hold no more than the digest. Fields that others may set, such as foreign labels, have no part in it.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

import orjson
from pydantic import JsonValue

from aos.model.names import (
    ANNOTATION_CHILD_DIGEST,
    LABEL_AGENT,
    LABEL_COMPONENT,
    LABEL_MANAGED_BY,
    LABEL_NAME,
    LABEL_PART_OF,
    LABEL_TASK,
)

_OWN_LABELS: Final = (
    LABEL_NAME,
    LABEL_MANAGED_BY,
    LABEL_PART_OF,
    LABEL_COMPONENT,
    LABEL_AGENT,
    LABEL_TASK,
)
_EXACT: Final = 2**53
"""Below this, whole numbers are the same whether they are kept as integers or as floats."""
_Object = Mapping[str, JsonValue]


def fingerprint(child: _Object) -> str:
    """Return the digest of a child, desired or as the API server stores it.

    Raises:
        KeyError: the operator makes no children of this kind.
    """
    metadata = _mapping(child.get("metadata"))
    own = _mapping(metadata.get("labels"))
    said: list[JsonValue] = [
        {name: own.get(name) for name in _OWN_LABELS},
        [owner.get("uid") for owner in _owners(metadata) if owner.get("controller")],
        _CONTENT[str(child["kind"])](child),
    ]
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _owners(metadata: _Object) -> list[dict[str, JsonValue]]:
    owners = metadata.get("ownerReferences")
    return [_mapping(owner) for owner in owners] if isinstance(owners, list) else []


def _service_account(child: _Object) -> JsonValue:
    return child.get("automountServiceAccountToken")


def _network_policy(child: _Object) -> JsonValue:
    # The API server leaves empty lists out.
    return {name: value for name, value in _mapping(child.get("spec")).items() if value not in ([], None)}


def _controller_revision(child: _Object) -> JsonValue:
    return [child.get("revision"), _as_read_back(child.get("data"))]


def _as_read_back(value: JsonValue) -> JsonValue:
    """Return the value with each number written in one way: the API server makes ``0`` of ``0.0``."""
    if isinstance(value, dict):
        return {name: _as_read_back(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_read_back(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, int) and abs(value) >= _EXACT:
        return float(value)
    return value


def _role(child: _Object) -> JsonValue:
    return child.get("rules")


def _role_binding(child: _Object) -> JsonValue:
    return [child.get("roleRef"), child.get("subjects")]


def _deployment(child: _Object) -> JsonValue:
    # Nobody but the operator may change what pods are made from; how many there are, whoever may scale.
    annotations = _mapping(_mapping(child.get("metadata")).get("annotations"))
    return [annotations.get(ANNOTATION_CHILD_DIGEST), _mapping(child.get("spec")).get("replicas")]


_CONTENT: Final[Mapping[str, Callable[[_Object], JsonValue]]] = {
    "ServiceAccount": _service_account,
    "NetworkPolicy": _network_policy,
    "ControllerRevision": _controller_revision,
    "Role": _role,
    "RoleBinding": _role_binding,
    "Deployment": _deployment,
}
CHILD_KINDS: Final = tuple(_CONTENT)


def _mapping(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}
