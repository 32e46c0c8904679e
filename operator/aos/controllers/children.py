"""The children that the operator makes, as they are now, and whose reconcile a change of one of them is."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from aos.controllers.keys import Key, Subject
from aos.controllers.objects import Touch
from aos.controllers.views import ChildView, child_view
from aos.controllers.watched import Cache, Changed, Watched
from aos.kube.client import ApiClient, Selection
from aos.kube.objects import key_of
from aos.kube.resources import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    Resource,
)
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from aos.model.names import LABEL_AGENT, LABEL_COMPONENT, LABEL_MANAGED_BY, MANAGED_BY
from aos.reconcile.children import COMPONENT_AGENT, COMPONENT_CREDENTIAL, COMPONENT_WORKFLOW
from aos.reconcile.plan import ChildKey, ObservedChild
from aos.reconcile.revision import ObservedRevision

_OURS: Final = f"{LABEL_MANAGED_BY}={MANAGED_BY}"
_OF_AGENTS: Final = Selection(label_selector=f"{_OURS},{LABEL_AGENT}")
_OF_CREDENTIALS: Final = Selection(label_selector=f"{_OURS},{LABEL_COMPONENT}={COMPONENT_CREDENTIAL}")
_OF_REVISIONS: Final = Selection(
    label_selector=f"{_OURS},{LABEL_COMPONENT} in ({COMPONENT_AGENT},{COMPONENT_WORKFLOW})"
)
_SELECTIONS: Final[Mapping[Resource, Selection]] = {
    SERVICE_ACCOUNTS: _OF_AGENTS,
    NETWORK_POLICIES: _OF_AGENTS,
    CONTROLLER_REVISIONS: _OF_REVISIONS,
    DEPLOYMENTS: _OF_AGENTS,
    ROLES: _OF_CREDENTIALS,
    ROLE_BINDINGS: _OF_CREDENTIALS,
}
RevisionGone = Callable[[Key, str], None]

_OWNERS: Final = frozenset({Subject.AGENT, Subject.TOOL, Subject.MODEL, Subject.WORKFLOW})


class Children:
    """Caches of the kinds of children."""

    def __init__(self, client: ApiClient, touch: Touch, revision_gone: RevisionGone) -> None:
        """Make empty caches.

        Args:
            client: where from.
            touch: hears of the owners whose children changed.
            revision_gone: called with the owner and the name of a ControllerRevision that was deleted.
        """
        self._touch = touch
        self._revision_gone = revision_gone
        self._applied: dict[tuple[str, str, str], ChildView] = {}
        self._revisions: dict[Key, dict[str, ObservedRevision]] = {}
        self._roles: dict[Key, set[ChildKey]] = {}
        self._watched: Mapping[str, Watched[ChildView]] = {
            resource.kind: Watched(client, resource, child_view, self._hearer(resource.kind), selection)
            for resource, selection in _SELECTIONS.items()
        }

    def caches(self) -> Iterable[Cache]:
        """Return what is to be run."""
        return self._watched.values()

    def present(self, namespace: str, keys: Iterable[ChildKey]) -> dict[ChildKey, ObservedChild]:
        """Return those of the children that are there, the last applies included."""
        found = {key: self._view(key.kind, namespace, key.name) for key in keys}
        return {key: view.child for key, view in found.items() if view is not None}

    def owned_by(self, uid: str, namespace: str, keys: Iterable[ChildKey]) -> dict[ChildKey, ObservedChild]:
        """Return those of the children that are there and belong to the owner with this uid."""
        found = {key: self._view(key.kind, namespace, key.name) for key in keys}
        return {key: view.child for key, view in found.items() if view is not None and view.owner_uid == uid}

    def applied(self, resource: Resource, raw: JsonObject) -> None:
        """Take what an apply came back with, until the watch tells of the child."""
        key, view = key_of(raw), child_view(raw)
        self._applied[resource.kind, key.namespace, key.name] = view
        self._index(resource.kind, key, None, view)

    def revisions_of(self, namespace: str, agent: str) -> tuple[ObservedRevision, ...]:
        """Return the agent's ControllerRevisions."""
        return tuple(self._revisions.get(Key(Subject.AGENT, namespace, agent), {}).values())

    def revisions_of_workflow(self, namespace: str, workflow: str) -> tuple[ObservedRevision, ...]:
        """Return the Workflow's ControllerRevisions."""
        return tuple(self._revisions.get(Key(Subject.WORKFLOW, namespace, workflow), {}).values())

    def roles_of(self, namespace: str, workflow: str) -> tuple[ChildKey, ...]:
        """Return the Roles and RoleBindings that belong to a Workflow of that name."""
        return tuple(self._roles.get(Key(Subject.WORKFLOW, namespace, workflow), ()))

    def _view(self, kind: str, namespace: str, name: str) -> ChildView | None:
        return self._applied.get((kind, namespace, name)) or self._watched[kind].get(namespace, name)

    def _hearer(self, kind: str) -> Changed[ChildView]:
        def changed(key: ObjectKey, old: ChildView | None, new: ChildView | None) -> None:
            known = self._applied.pop((kind, key.namespace, key.name), None)
            self._index(kind, key, old, new)
            if old is not None and new is None and kind == CONTROLLER_REVISIONS.kind:
                owner = _owner(key, old)
                if owner is not None:
                    self._revision_gone(owner, key.name)
            if known is not None and known == new:
                return
            for view in (old, new):
                owner = _owner(key, view) if view is not None else None
                if owner is not None:
                    self._touch(owner)

        return changed

    def _index(self, kind: str, key: ObjectKey, old: ChildView | None, new: ChildView | None) -> None:
        for view in (old, new):
            owner = _owner(key, view) if view is not None else None
            if view is None or owner is None:
                continue
            if kind == CONTROLLER_REVISIONS.kind:
                revision = ObservedRevision(key.name, view.child.uid, view.number)
                _put(self._revisions, owner, key.name, revision if view is new else None)
            if kind in (ROLES.kind, ROLE_BINDINGS.kind):
                roles = self._roles.setdefault(owner, set())
                (roles.add if view is new else roles.discard)(ChildKey(kind, key.name))
                if not roles:
                    del self._roles[owner]


def _owner(key: ObjectKey, view: ChildView) -> Key | None:
    is_ours = view.owner_kind in _OWNERS
    return Key(Subject(view.owner_kind), key.namespace, view.owner_name) if is_ours else None


def _put(
    index: dict[Key, dict[str, ObservedRevision]], owner: Key, name: str, revision: ObservedRevision | None
) -> None:
    found = index.setdefault(owner, {})
    if revision is not None:
        found[name] = revision
    else:
        found.pop(name, None)
    if not found:
        del index[owner]
