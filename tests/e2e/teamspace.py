"""A namespace of a test file's own: the team of the sales example under another name, with the same systems and model."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import yaml

from hack.demo import example
from hack.demo.access import Access
from hack.demo.example import SALES
from hack.demo.installation import paths, put_credentials
from hack.demo.settings import Settings
from tests.e2e.installation import Installation, JsonObject, at

FILES = ("namespace.yaml", "tools.yaml", "model.yaml", "policies.yaml", "approvers.yaml", "agents.yaml")
READY_SECONDS = 110


@contextmanager
def teamspace(installed: Installation, settings: Settings, name: str) -> Iterator[Installation]:
    """Give AOS seen from a namespace that nobody else uses; it is gone, or on its way out, afterwards."""
    installed.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=true")
    access = Access(installed.node, paths())
    namespace, *others = renamed(name, settings)
    access.apply(yaml.safe_dump(namespace))
    for system in (*SALES.systems, example.MODEL):
        put_credentials(access, system, home_of(system), name, settings)
    access.apply(yaml.safe_dump_all(others))
    try:
        agents = (f"agent/{agent}" for agent in SALES.agents)
        access.wait_ready(name, "tool/crm", "model/default", *agents, seconds=READY_SECONDS)
        yield Installation(installed.node, name)
    finally:
        installed.kubectl("delete", "namespace", name, "--wait=false")


def home_of(system: str) -> str:
    return example.MODELS if system == example.MODEL else SALES.systems_namespace


def renamed(name: str, settings: Settings) -> list[JsonObject]:
    """Return what is the team's in the sales example, for another namespace; a tenant of its own, whose budget is nobody else's."""
    text = example.manifests([SALES.folder / file for file in FILES], settings)
    return [
        moved(manifest, name)
        for manifest in cast("Iterator[JsonObject]", yaml.safe_load_all(text))
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
