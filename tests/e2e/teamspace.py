"""A namespace of a test file's own: the team of the sales example under another name, with the same systems and model."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import yaml

from hack.demo import example
from hack.demo.example import SALES
from hack.demo.settings import Settings
from tests.e2e.installation import Installation, JsonObject, at

FILES = ("namespace.yaml", "tools.yaml", "model.yaml", "policies.yaml", "approvers.yaml", "agents.yaml")
READY_SECONDS = 110


@contextmanager
def teamspace(installed: Installation, settings: Settings, name: str) -> Iterator[Installation]:
    """Give AOS seen from a namespace that nobody else uses; it is gone, or on its way out, afterwards."""
    installed.delete("namespace", name)
    namespace, *others = renamed(name, settings)
    installed.apply(namespace)
    for system in (*SALES.systems, example.MODEL):
        installed.apply(moved(credentials(installed, system), name))
    team = installed.seen_from(name)
    team.apply(*others)
    try:
        team.becomes("tool", "crm", seconds=READY_SECONDS)
        team.becomes("model", "default", seconds=READY_SECONDS)
        team.becomes("agent", *SALES.agents, seconds=READY_SECONDS)
        yield team
    finally:
        installed.delete("namespace", name, wait=False)


def credentials(installed: Installation, system: str) -> JsonObject:
    """Return the Secret by which the team of the sales example is known to a system."""
    standing = installed.get("secret", example.credentials(system))
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": example.credentials(system)},
        "type": standing["type"],
        "data": standing["data"],
    }


def renamed(name: str, settings: Settings) -> list[JsonObject]:
    """Return what is the team's in the sales example, for another namespace; a tenant of its own, whose budget is nobody else's."""
    text = example.manifests([SALES.folder / file for file in FILES], settings)
    return [
        moved(manifest, name)
        for manifest in cast("Iterator[JsonObject]", yaml.load_all(text, yaml.CSafeLoader))
        if SALES.name in (at(manifest, "metadata.namespace"), at(manifest, "metadata.name"))
    ]


def moved(manifest: JsonObject, name: str) -> JsonObject:
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)
    if manifest["kind"] != "Namespace":
        return {**manifest, "metadata": {**metadata, "namespace": name}}
    labels = metadata["labels"]
    assert isinstance(labels, dict)
    return {**manifest, "metadata": {"name": name, "labels": {**labels, "aos.dev/tenant": name}}}
