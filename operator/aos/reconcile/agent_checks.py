"""Whether an Agent's spec is sound and everything that it names exists; all that is wrong is said at once."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from aos.model.agent import MAX_INSTRUCTIONS_BYTES, AgentSpec, MessageSchema, ToolRequest
from aos.model.conditions import Reason
from aos.model.model import Model
from aos.model.tool import Tool
from aos.policy import glob
from aos.policy.schemas import check_schema
from aos.reconcile.conditions import Verdict, no, yes

_NAMES_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an Agent can name, of its own namespace.

    Attributes:
        instructions: what the agent is told; None if it can't be found.
        tools: by name.
        models: by name.
        agents: names of all Agents.
    """

    instructions: str | None
    tools: Mapping[str, Tool]
    models: Mapping[str, Model]
    agents: frozenset[str]


def check_agent(spec: AgentSpec, there: Surroundings) -> Verdict:
    """Return whether the agent can be used: the reason is that of the first problem, the message tells all."""
    found = [
        *_instructions(spec, there.instructions),
        *_schemas(spec),
        *_model(spec, there.models),
        *(problem for request in spec.tools for problem in _tool(request, there.tools)),
        *_delegates(spec, there.agents),
    ]
    if not found:
        return yes(Reason.ACCEPTED, _advice(spec))
    return no(found[0].reason, "; ".join(problem.message for problem in found))


def _advice(spec: AgentSpec) -> str:
    """Return what is no problem and people should know; empty for nothing."""
    if not spec.runtime.image or "@" in spec.runtime.image:
        return ""
    return (
        "spec.runtime.image is not pinned by a digest (NAME@sha256:...): what its tag names may change without a new revision;"
        " status.imageID of a Task says what ran"
    )


def _instructions(spec: AgentSpec, text: str | None) -> Iterator[Verdict]:
    if text is None and spec.instructions_from is not None:
        reference = spec.instructions_from.config_map_key_ref
        yield no(
            Reason.INSTRUCTIONS_NOT_FOUND,
            f"spec.instructionsFrom: there is no ConfigMap {reference.name} with the label aos.dev/instructions=true"
            f" and the key {reference.key}",
        )
    elif text is None:
        yield no(Reason.INVALID, "spec.instructions: give instructions or instructionsFrom")
    elif not text.strip():
        yield no(Reason.INVALID, "the instructions are blank: nothing but spaces and line ends")
    elif (size := len(text.encode())) > MAX_INSTRUCTIONS_BYTES:
        yield no(
            Reason.INVALID,
            f"the instructions have {size} bytes, and at most {MAX_INSTRUCTIONS_BYTES} are taken",
        )


def _schemas(spec: AgentSpec) -> Iterator[Verdict]:
    named: Mapping[str, MessageSchema | None] = {"input": spec.input, "output": spec.output}
    for name, message in named.items():
        problems = check_schema(message.schema_) if message else []
        if problems:
            yield no(Reason.INVALID_SCHEMA, f"spec.{name}.schema: {'; '.join(problems)}")


def _model(spec: AgentSpec, models: Mapping[str, Model]) -> Iterator[Verdict]:
    if spec.model is not None and spec.model.name not in models:
        yield no(Reason.MODEL_NOT_FOUND, f"spec.model.name: {_unknown('Model', spec.model.name, models)}")


def _tool(request: ToolRequest, tools: Mapping[str, Tool]) -> Iterator[Verdict]:
    tool = tools.get(request.name)
    if tool is None:
        yield no(Reason.TOOL_NOT_FOUND, f"spec.tools: {_unknown('Tool', request.name, tools)}")
        return
    declared = [action.name for action in tool.spec.actions]
    missing = [
        pattern for pattern in request.actions if not any(glob.matches(pattern, name) for name in declared)
    ]
    if missing:
        yield no(
            Reason.ACTION_NOT_FOUND,
            f"spec.tools[{request.name}].actions: the Tool declares nothing like {', '.join(missing)}; it has"
            f" {_listed(declared)}",
        )


def _delegates(spec: AgentSpec, agents: frozenset[str]) -> Iterator[Verdict]:
    for name in spec.delegates:
        if name not in agents:
            yield no(Reason.DELEGATE_NOT_FOUND, f"spec.delegates: {_unknown('Agent', name, agents)}")


def _unknown(kind: str, name: str, there: Iterable[str]) -> str:
    names = sorted(there)
    way = f"create it, or name one of {_listed(names)}" if names else "create it"
    return f"there is no {kind} {name} in the namespace; {way}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
