"""Types of what runs read: their input, and what their steps give, by the schemas of who does them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aos.model.agent import AgentSpec, MessageSchema
from aos.model.workflow import WorkflowSpec
from aos.model.workflow_step import OnFailure, WorkflowStep
from aos.workflow.described import Described, Patience, is_usable
from aos.workflow.inference import Inference, Scope
from aos.workflow.places import StepPlaces, output_place
from aos.workflow.template import Template
from aos.workflow.types import (
    ANYTHING,
    INTEGER,
    NULL,
    OBJECT,
    STRING,
    Each,
    Exact,
    Listed,
    Record,
    Type,
    either,
)

_RUN: Final = Record(
    dict.fromkeys(("name", "namespace", "workflow", "requestedBy"), STRING), "the variable run"
)
_GATE: Final = Record(
    {"approved": Exact(value=True), "approvers": Listed(STRING), "comments": Listed(STRING)},
    "the output of a step with approval",
)


@dataclass(frozen=True, slots=True)
class World:
    """What a Workflow may name, all of its own namespace.

    Attributes:
        workflow: the name of the Workflow itself.
        agents: by name.
        workflows: by name; the Workflow itself need not be among them.
    """

    workflow: str
    agents: Mapping[str, AgentSpec]
    workflows: Mapping[str, WorkflowSpec]

    def offering(self, capability: str) -> tuple[str, ...]:
        """Return the agents that offer ``capability``, by name."""
        return tuple(sorted(name for name, agent in self.agents.items() if capability in agent.capabilities))


class Outputs:
    """Types of what the steps of one Workflow, and of those that it runs, read and give."""

    __slots__ = ("_open", "_patience", "_world")

    def __init__(self, world: World, patience: Patience) -> None:
        self._world = world
        self._patience = patience
        self._open: set[str] = {world.workflow}

    def wanted(self, step: WorkflowStep) -> tuple[Described, ...]:
        """Return the schemas that the input of ``step`` has to fit: of each agent that may do it, or of its Workflow."""
        names = self._agents(step)
        found = [
            self._described(self._world.agents[name].input, f"the input schema of agent {name}")
            for name in names
            if name in self._world.agents
        ]
        below = self._world.workflows.get(step.workflow or "")
        if below is not None:
            found.append(self._described(below.input, f"the input schema of workflow {step.workflow}"))
        return tuple(view for view in found if view is not None)

    def given(self, step: WorkflowStep) -> Type:
        """Return what ``step`` gives; with forEach a list of it, with null for items that may fail."""
        one = self._given_once(step)
        if step.for_each is None:
            return one
        return Listed(either((one, NULL)) if step.on_failure is OnFailure.CONTINUE else one)

    def input_of(self, spec: WorkflowSpec, name: str) -> Described | None:
        """Return the schema of a run's input; None where there is none that can be used."""
        return self._described(spec.input, f"the input schema of workflow {name}")

    def scope(self, spec: WorkflowSpec, name: str) -> dict[str, Type]:
        """Return the variables of the Workflow ``name`` but for those of forEach."""
        described = self.input_of(spec, name)
        known = OBJECT if spec.input is None else ANYTHING
        steps = {step.name: Record({"output": self.given(step)}, f"step {step.name}") for step in spec.steps}
        return {
            "input": described if described is not None else known,
            "steps": Record(steps),
            "run": _RUN,
            "index": INTEGER,
            "time": STRING,
        }

    def item_scope(self, place: StepPlaces, scope: Scope) -> Scope:
        """Return the variables of the input of a step, with the type of ``item`` if it has forEach."""
        if place.for_each is None:
            return scope
        quiet = Inference(scope, lambda _path, _message: None)
        ((path, expression),) = place.for_each.expressions()
        found = quiet.expression(expression, path).element()
        return {**scope, "item": found.type if found.is_there else ANYTHING}

    def _agents(self, step: WorkflowStep) -> tuple[str, ...]:
        if step.capability is not None:
            return self._world.offering(step.capability)
        return (step.agent,) if step.agent is not None else ()

    def _given_once(self, step: WorkflowStep) -> Type:
        if step.approval is not None:
            return _GATE
        if step.workflow is not None:
            return self._given_by_workflow(step.workflow)
        types = tuple(map(self._given_by_agent, self._agents(step)))
        if not types:
            return ANYTHING
        return types[0] if len(types) == 1 else Each(types)

    def _given_by_agent(self, name: str) -> Type:
        agent = self._world.agents.get(name)
        if agent is None:
            return ANYTHING
        if agent.output is None:
            return OBJECT
        return self._described(agent.output, f"the output schema of agent {name}") or ANYTHING

    def _given_by_workflow(self, name: str) -> Type:
        spec = self._world.workflows.get(name)
        if spec is None or name in self._open:
            return ANYTHING
        if spec.output is None:
            return NULL
        place, _ = output_place(spec)
        if place is None or not isinstance(place.compiled, Template):
            return ANYTHING
        self._open.add(name)
        try:
            quiet = Inference(self.scope(spec, name), lambda _path, _message: None)
            type_ = quiet.part(place.compiled.root, place.path)
        finally:
            self._open.discard(name)
        return Record(type_.fields, f"the output of workflow {name}") if isinstance(type_, Record) else type_

    def _described(self, schema: MessageSchema | None, label: str) -> Described | None:
        """Return what ``schema`` describes; None where there is none, or it can't be used, which is its owner's problem."""
        if schema is None or not is_usable(schema.schema_):
            return None
        return Described.whole(schema.schema_, label, self._patience)
