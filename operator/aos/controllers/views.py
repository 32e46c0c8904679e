"""What is kept of Kubernetes' own objects: no more than reconciles ask for."""

from collections.abc import Mapping
from dataclasses import dataclass

from aos.kube.objects import child, children, metadata_of, number, text, texts, uid_of
from aos.model.base import JsonObject
from aos.reconcile.fingerprint import fingerprint
from aos.reconcile.plan import ObservedChild


@dataclass(frozen=True, slots=True)
class ChildView:
    """A child, whose it is, and for a revision its number."""

    child: ObservedChild
    owner_kind: str
    owner_name: str
    owner_uid: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One replica of the gateway; one that is not ready gets no calls, and may tell why."""

    replica: str
    address: str
    is_ready: bool = True


@dataclass(frozen=True, slots=True)
class EndpointsView:
    """The replicas that one EndpointSlice names, without those that are ending."""

    replicas: tuple[Endpoint, ...]


def child_view(raw: JsonObject) -> ChildView:
    """Return what counts of a child."""
    owners = children(metadata_of(raw), "ownerReferences")
    owner = next((item for item in owners if item.get("controller") is True), {})
    return ChildView(
        child=ObservedChild(uid=uid_of(raw), fingerprint=fingerprint(raw)),
        owner_kind=text(owner, "kind"),
        owner_name=text(owner, "name"),
        owner_uid=text(owner, "uid"),
        number=number(raw, "revision"),
    )


def config_map_view(raw: JsonObject) -> Mapping[str, str]:
    """Return a ConfigMap's texts."""
    return {name: value for name, value in child(raw, "data").items() if isinstance(value, str)}


def labels_view(raw: JsonObject) -> Mapping[str, str]:
    """Return an object's labels."""
    return {
        name: value for name, value in child(metadata_of(raw), "labels").items() if isinstance(value, str)
    }


def address_view(raw: JsonObject) -> str:
    """Return a Service's address within the cluster; empty if it has none."""
    address = text(child(raw, "spec"), "clusterIP")
    return "" if address == "None" else address


def handler_view(raw: JsonObject) -> str:
    """Return the runtime handler of a RuntimeClass."""
    return text(raw, "handler")


def endpoints_view(raw: JsonObject) -> EndpointsView:
    """Return the replicas of an EndpointSlice."""
    found = []
    for item in children(raw, "endpoints"):
        addresses, said = texts(item, "addresses"), child(item, "conditions")
        if addresses and said.get("terminating") is not True:
            name = text(child(item, "targetRef"), "name") or addresses[0]
            # What does not say counts as ready, as the API has it.
            is_ready = said.get("ready") is not False
            found.append(Endpoint(replica=name, address=addresses[0], is_ready=is_ready))
    return EndpointsView(tuple(found))
