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
from aos.reconcile.children import COMPONENT_CREDENTIAL
from aos.reconcile.plan import ChildKey, ObservedChild
from aos.reconcile.revision import ObservedRevision

_OURS: Final = f"{LABEL_MANAGED_BY}={MANAGED_BY}"
_OF_AGENTS: Final = Selection(label_selector=f"{_OURS},{LABEL_AGENT}")
_OF_CREDENTIALS: Final = Selection(label_selector=f"{_OURS},{LABEL_COMPONENT}={COMPONENT_CREDENTIAL}")
_SELECTIONS: Final[Mapping[Resource, Selection]] = {
    SERVICE_ACCOUNTS: _OF_AGENTS,
    NETWORK_POLICIES: _OF_AGENTS,
    CONTROLLER_REVISIONS: _OF_AGENTS,
    DEPLOYMENTS: _OF_AGENTS,
    ROLES: _OF_CREDENTIALS,
    ROLE_BINDINGS: _OF_CREDENTIALS,
}
RevisionGone = Callable[[str, str, str], None]

_OWNERS: Final = frozenset({Subject.AGENT, Subject.TOOL, Subject.MODEL})


class Children:
    """Caches of the kinds of children."""

    def __init__(self, client: ApiClient, touch: Touch, revision_gone: RevisionGone) -> None:
        """Make empty caches.

        Args:
            client: where from.
            touch: hears of the owners whose children changed.
            revision_gone: called with namespace, agent and name of a ControllerRevision that was deleted.
        """
        self._touch = touch
        self._revision_gone = revision_gone
        self._applied: dict[tuple[str, str, str], ChildView] = {}
        self._revisions: dict[tuple[str, str], dict[str, ObservedRevision]] = {}
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
        return tuple(self._revisions.get((namespace, agent), {}).values())

    def _view(self, kind: str, namespace: str, name: str) -> ChildView | None:
        return self._applied.get((kind, namespace, name)) or self._watched[kind].get(namespace, name)

    def _hearer(self, kind: str) -> Changed[ChildView]:
        def changed(key: ObjectKey, old: ChildView | None, new: ChildView | None) -> None:
            known = self._applied.pop((kind, key.namespace, key.name), None)
            self._index(kind, key, old, new)
            if old is not None and new is None and kind == CONTROLLER_REVISIONS.kind:
                self._revision_gone(key.namespace, old.owner_name, key.name)
            if known is not None and known == new:
                return
            for view in (old, new):
                if view is not None and view.owner_kind in _OWNERS:
                    self._touch(Key(Subject(view.owner_kind), key.namespace, view.owner_name))

        return changed

    def _index(self, kind: str, key: ObjectKey, old: ChildView | None, new: ChildView | None) -> None:
        if kind != CONTROLLER_REVISIONS.kind:
            return
        if old is not None and (revisions := self._revisions.get((key.namespace, old.owner_name))):
            revisions.pop(key.name, None)
            if not revisions:
                del self._revisions[key.namespace, old.owner_name]
        if new is not None and new.owner_kind == Subject.AGENT:
            self._revisions.setdefault((key.namespace, new.owner_name), {})[key.name] = ObservedRevision(
                key.name, new.child.uid, new.number
            )
