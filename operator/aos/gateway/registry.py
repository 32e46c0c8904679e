"""What the gateway knows of the cluster, as the rest of the gateway asks for it. Every answer is from memory."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from aos.model.agent import AgentSpec
from aos.model.base import JsonObject
from aos.model.canonical import canonical_json
from aos.model.meta import KeyReference, ObjectKey
from aos.model.model import Model
from aos.model.task import Task
from aos.model.tool import Tool
from aos.policy.effective import EffectivePolicy

Listener = Callable[[ObjectKey], None]
"""Told the key of what changed; synchronous, quick, and must not raise."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of an agent, as its ControllerRevision froze it.

    Attributes:
        name: of the ControllerRevision.
        instructions: what the agent is told.
        spec: the agent's spec at that time.
        digest: ``sha256:`` over all that was frozen.
        content: all that was frozen: instructions, spec and image.
    """

    name: str
    instructions: str
    spec: AgentSpec
    digest: str = ""
    content: JsonObject = field(default_factory=dict, repr=False)

    def document(self) -> bytes:
        """Return what the digest names, as RFC 8785 JSON."""
        return canonical_json(self.content)


class Registry(Protocol):
    """The gateway's knowledge of the cluster."""

    def policy(self, namespace: str, agent: str) -> EffectivePolicy | None:
        """Return what the agent may do; None if there is no such agent. It is computed anew only after a change."""

    def tool(self, namespace: str, name: str) -> Tool | None:
        """Return the Tool, or None."""

    def tools(self) -> Collection[Tool]:
        """Return all Tools."""

    def model(self, namespace: str, name: str) -> Model | None:
        """Return the Model, or None."""

    def models(self) -> Collection[Model]:
        """Return all Models."""

    def task(self, namespace: str, name: str) -> Task | None:
        """Return the Task, or None."""

    def revision(self, namespace: str, name: str) -> Revision | None:
        """Return the revision, or None."""

    def credential(self, namespace: str, reference: KeyReference) -> str | None:
        """Return the credential; None while the Secret or its key is missing, unreadable or empty.

        Only Secrets that a Tool or Model refers to are read. Do not keep the answer: ask again for each call.
        """

    def on_tool_change(self, listener: Listener) -> None:
        """Call ``listener`` when a Tool appears, changes or goes, or when its credential does."""

    def on_model_change(self, listener: Listener) -> None:
        """Call ``listener`` when a Model appears, changes or goes, or when its credential does."""

    def staleness_seconds(self) -> float:
        """Return the age of the oldest knowledge that decisions rest on; infinite before all of it was read once."""
