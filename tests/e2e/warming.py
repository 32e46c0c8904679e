"""An agent with pods that are kept started."""

from tests.e2e.installation import Installation, JsonObject, at, condition, wait_for

SCOUT = "scout"


def scout(namespace: str, warm: int, instructions: str = "Wait for work.", name: str = SCOUT) -> JsonObject:
    """Return an agent of the built-in runtime with so many warm pods."""
    labels: JsonObject = {"role": "research", "territory": "emea"}
    model: JsonObject = {"name": "default"}
    return {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "owner": {"team": "tests"},
            "instructions": instructions,
            "model": model,
            "tools": [{"name": "crm", "actions": ["get_contact"]}],
            "runtime": {"warm": warm},
        },
    }


def kept(aos: Installation, agent: str = SCOUT) -> dict[str, JsonObject]:
    """Return the pods that wait for a Task, by uid."""
    return {
        str(at(pod, "metadata.uid")): pod
        for pod in aos.items("pods", f"aos.dev/agent={agent}")
        if owner(pod) == "Agent" and at(pod, "metadata.deletionTimestamp") is None
    }


def owner(pod: JsonObject) -> str:
    owners = at(pod, "metadata.ownerReferences")
    assert isinstance(owners, list)
    return str(at(owners[0], "kind"))


def ready(aos: Installation) -> JsonObject:
    """Wait for the one pod that is kept, and ready; return it."""

    def found() -> JsonObject | None:
        pods = list(kept(aos).values())
        return (
            pods[0]
            if len(pods) == 1 and (condition(pods[0], "Ready") or {}).get("status") == "True"
            else None
        )

    return wait_for(found, "a warm pod")


def name_of(pod: JsonObject) -> str:
    return str(at(pod, "metadata.name"))
