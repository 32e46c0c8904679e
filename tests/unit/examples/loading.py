"""The manifests of the examples, as the tests look at them."""

from collections.abc import Iterator
from typing import TypeVar

import yaml
from pydantic import JsonValue

from aos.model.agent import Agent
from aos.model.cluster_policy import ClusterPolicy
from aos.model.kinds import KINDS
from aos.model.meta import ApiObject
from aos.model.policy import Policy
from aos.model.tool import Tool
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy
from hack.demo import example
from hack.demo.example import SALES, Example

Kind = TypeVar("Kind", bound=ApiObject)
MODELS: dict[str, type[ApiObject]] = {kind.kind: kind.object_model for kind in KINDS}


def documents(chosen: Example = SALES, pattern: str = "*.yaml") -> Iterator[dict[str, JsonValue]]:
    """Everything that an example's own folder and the common one hold."""
    for folder in (chosen.folder, example.COMMON):
        for path in sorted(folder.glob(pattern)):
            yield from yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader)


def all_of(kind: type[Kind], chosen: Example = SALES) -> list[Kind]:
    return [kind.parse(raw) for raw in documents(chosen) if raw["kind"] == kind.__name__]


def parsed(kind: type[Kind], name: str = "", chosen: Example = SALES) -> Kind:
    """The one object of a kind, or the one with this name."""
    [found] = [item for item in all_of(kind, chosen) if name in ("", item.metadata.name)]
    return found


def effective(agent: str, chosen: Example = SALES, tools: list[Tool] | None = None) -> EffectivePolicy:
    """What the example's policies make of one of its agents."""
    return effective_policy(
        PolicyInputs(
            agent=parsed(Agent, agent, chosen),
            namespace_labels={"aos.dev/environment": "demo", "aos.dev/tenant": chosen.name},
            tools={tool.metadata.name: tool for tool in tools or all_of(Tool, chosen)},
            policies=all_of(Policy, chosen),
            cluster_policies=all_of(ClusterPolicy, chosen),
        )
    )
