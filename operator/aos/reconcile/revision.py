"""Revisions: what an agent is told and runs, named by its digest, numbered in order of use, and kept while of use."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aos.model.agent import Agent, AgentSpec, RuntimeMode
from aos.model.base import JsonObject
from aos.model.canonical import json_digest
from aos.model.names import agent_revision
from aos.reconcile.settings import REVISIONS_KEPT, OperatorSettings


@dataclass(frozen=True, slots=True)
class Revision:
    """The content of one revision.

    Attributes:
        name: of its ControllerRevision.
        digest: over the data.
        data: ``instructions``, ``spec`` (the Agent's, without ``suspend``) and ``image``.
    """

    name: str
    digest: str
    data: JsonObject


@dataclass(frozen=True, slots=True)
class ObservedRevision:
    """A ControllerRevision of an agent."""

    name: str
    uid: str
    number: int


@dataclass(frozen=True, slots=True)
class PinnedRevision:
    """What an agent was at a revision, read from its ControllerRevision.

    Attributes:
        name: of the ControllerRevision.
        spec: of the Agent, never suspended.
        instructions: what it was told.
        image: what its pods ran.
    """

    name: str
    spec: AgentSpec
    instructions: str
    image: str


def as_pinned(agent: Agent, pinned: PinnedRevision) -> Agent:
    """Return the agent as it was at a revision, to be run by a pod of its own: pods that are there run the current one.

    Whether it may run at all is still said by what it is now.
    """
    runtime = pinned.spec.runtime.model_copy(
        update={"mode": RuntimeMode.ON_DEMAND, "replicas": None, "drain": None, "warm": None}
    )
    spec = pinned.spec.model_copy(update={"suspend": agent.spec.suspend, "runtime": runtime})
    status = agent.status.model_copy(update={"revision": pinned.name})
    return agent.model_copy(update={"spec": spec, "status": status})


def image_of(agent: Agent, settings: OperatorSettings) -> str:
    """Return the image that the agent's pods run."""
    return agent.spec.runtime.image or settings.agent_image


def revision_of(agent: Agent, instructions: str, settings: OperatorSettings) -> Revision:
    """Return what the agent is now.

    Raises:
        ValueError: the spec holds a number that JSON can't carry exactly.
    """
    # What merely stops and starts the agent makes no other agent of it.
    spec = agent.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"suspend"})
    data: JsonObject = {"instructions": instructions, "spec": spec, "image": image_of(agent, settings)}
    digest = json_digest(data)
    return Revision(name=agent_revision(agent.metadata.name, digest), digest=digest, data=data)


def number_of(current: str, observed: Sequence[ObservedRevision]) -> int:
    """Return the number of the current revision: the highest, also when the agent went back to an older content."""
    highest = max((item.number for item in observed if item.name != current), default=0)
    own = next((item.number for item in observed if item.name == current), 0)
    return own if own > highest else highest + 1


def superfluous(
    current: str, observed: Sequence[ObservedRevision], in_use: Collection[str]
) -> tuple[ObservedRevision, ...]:
    """Return the revisions that nobody needs: not the current one, not run by an open Task, not among the last ten."""
    idle = sorted(
        (item for item in observed if item.name != current and item.name not in in_use),
        key=lambda item: item.number,
        reverse=True,
    )
    return tuple(idle[REVISIONS_KEPT:])
