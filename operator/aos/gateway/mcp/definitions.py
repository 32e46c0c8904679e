"""What a tool says of itself, judged: a definition is offered to agents as it was checked, or not at all. No I/O.

Of a definition, four things reach an agent: ``name``, ``description``, ``inputSchema`` and ``outputSchema``. These and
no others are what the digest names. Annotations come from the Tool object, and the rest is dropped.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import orjson
from pydantic import JsonValue

from aos.gateway.mcp.header_values import ParamHeader, ParamHeaderError, param_headers
from aos.gateway.mcp.hidden_text import find_hidden_within
from aos.gateway.mcp.protocol import Era
from aos.gateway.reporter import Availability
from aos.gateway.schemas import Schema, SchemaError, compile_schema
from aos.model.base import JsonObject
from aos.model.canonical import json_digest
from aos.model.conditions import Reason
from aos.model.names import mcp_name
from aos.model.tool import Access, ActionState, ObservedAction, Tool, ToolAction

MAX_DESCRIPTION_LENGTH: Final = 16_384
_MAX_OTHER_BYTES: Final = 131_072
_MAX_MESSAGE_LENGTH: Final = 1024
_MAX_NAMED: Final = 5

_ANNOTATIONS: Final[Mapping[Access, JsonObject]] = {
    Access.READ: {"readOnlyHint": True, "destructiveHint": False},
    Access.WRITE: {"readOnlyHint": False, "destructiveHint": True},
}
"""What the Tool object declares, in MCP's words. What the tool says of itself counts for nothing (attack 12)."""


class DefinitionError(ValueError):
    """A definition that is not offered; the message says why."""


class DefinitionChangedError(DefinitionError):
    """A definition that is sound, but not the one that the Tool is pinned to."""


class Binding(Protocol):
    """How calls of an action are made, where its definition does not say all of it."""

    @property
    def content(self) -> JsonObject:
        """What of it the definition's digest names, too."""

    def problem(self, arguments: JsonObject) -> str:
        """Return why a call with these arguments, which fit the schema, can't be made; empty if it can."""


Bind = Callable[[JsonValue], Binding | None]
"""Returns how calls of a defined action are made; raises `DefinitionError` where they can't be."""


@dataclass(frozen=True, slots=True)
class Definition:
    """The parts of a tool's definition that reach agents.

    Attributes:
        name: of the action.
        description: empty where the tool gives none.
        input_schema: of its arguments.
        output_schema: of its structured results; None where the tool gives none.
        binding: how its calls are made; None where the four say all.
        digest: ``sha256:`` over the canonical JSON of the four, absent ones as ``""`` and ``null``, and of the binding's
            content where there is one.
    """

    name: str
    description: str
    input_schema: JsonObject
    output_schema: JsonObject | None
    digest: str
    binding: Binding | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """One definition as agents are shown it, encoded once.

    Attributes:
        plain: under the action's own name.
        qualified: under the name ``tool.action``.
    """

    plain: orjson.Fragment
    qualified: orjson.Fragment


@dataclass(frozen=True, slots=True)
class OfferedAction:
    """An action that can be called.

    Attributes:
        declared: as the Tool declares it.
        digest: of its definition.
        input: what its arguments must fit.
        output: what its structured results must fit, or None.
        mirrored: arguments that travel in headers too.
        offers: how it is shown, by era.
        open_offers: the same without the output's schema, for agents whose results policy cuts down or redacts: what is
            left need not fit it any more.
        binding: how calls are made, where the rest does not say it.
    """

    declared: ToolAction
    digest: str
    input: Schema
    output: Schema | None
    mirrored: tuple[ParamHeader, ...]
    offers: Mapping[Era, Offer]
    open_offers: Mapping[Era, Offer]
    binding: Binding | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A Tool's actions as one reading of the tool found them.

    Attributes:
        tool_uid: of the Tool that was judged.
        generation: of the Tool that was judged.
        actions: those that are offered, by name, in order of name.
        observed: every declared action, in the Tool's order.
        availability: what it comes to.
    """

    tool_uid: str
    generation: int
    actions: Mapping[str, OfferedAction]
    observed: tuple[ObservedAction, ...]
    availability: Availability

    def state(self, action: str) -> ActionState:
        """Return whether the action can be called; one that is not declared is missing."""
        return next((item.state for item in self.observed if item.name == action), ActionState.MISSING)


def read_definition(listed: JsonValue, bind: Bind = lambda _: None) -> Definition:
    """Return the definition that one entry of ``tools/list`` is.

    Raises:
        DefinitionError: it is not shaped as MCP asks, or no call of it can be made.
    """
    if not isinstance(listed, dict):
        raise DefinitionError("the definition is not an object")
    binding = bind(listed)
    name, description = listed.get("name"), listed.get("description") or ""
    input_schema, output_schema = listed.get("inputSchema"), listed.get("outputSchema")
    if not isinstance(name, str) or not isinstance(description, str):
        raise DefinitionError("name and description must be strings")
    if len(description) > MAX_DESCRIPTION_LENGTH:
        raise DefinitionError(f"the description has more than {MAX_DESCRIPTION_LENGTH} characters")
    if not isinstance(input_schema, dict) or input_schema.get("type") != "object":
        raise DefinitionError('inputSchema must be an object with "type": "object"')
    if output_schema is not None and not isinstance(output_schema, dict):
        raise DefinitionError("outputSchema must be an object")
    content: JsonObject = {
        "name": name,
        "description": description,
        "inputSchema": input_schema,
        "outputSchema": output_schema,
    }
    if binding is not None:
        content["binding"] = binding.content
    try:
        digest = json_digest(content)
    except (ValueError, RecursionError):
        raise DefinitionError(
            "the definition holds a number or nesting that JSON can't carry exactly"
        ) from None
    return Definition(name, description, input_schema, output_schema, digest, binding)


def judge(
    tool: Tool,
    listed: Sequence[JsonValue],
    gives_away: Callable[[bytes], bool],
    max_schema_bytes: int,
    known: Mapping[str, OfferedAction] | None = None,
    bind: Bind = lambda _: None,
) -> Listing:
    """Judge what a tool listed against what its Tool declares; what is not declared is not looked at.

    Args:
        tool: the Tool.
        listed: every entry of ``tools/list``.
        gives_away: whether JSON holds the tool's credential.
        max_schema_bytes: bound of each schema.
        known: actions offered before; those that are the same are taken over, not compiled again.
        bind: says how calls are made.
    """
    by_name: defaultdict[str, list[JsonValue]] = defaultdict(list)
    for entry in listed:
        by_name[_name(entry)].append(entry)
    offered: dict[str, OfferedAction] = {}
    observed: list[ObservedAction] = []
    reasons: dict[str, Reason] = {}
    for declared in tool.spec.actions:
        name = declared.name
        digest: str | None = None
        try:
            definition = read_definition(_small(_only(by_name[name]), max_schema_bytes), bind)
            digest = definition.digest
            offered[name] = _offered(tool, declared, definition, gives_away, max_schema_bytes, known or {})
        except DefinitionError as error:
            changed = isinstance(error, DefinitionChangedError)
            reasons[name] = Reason.DEFINITION_CHANGED if changed else Reason.DEFINITION_INVALID
            state = ActionState.MISSING if isinstance(error, _MissingError) else ActionState.QUARANTINED
            observed.append(_observed(name, state, digest, str(error)))
        else:
            observed.append(_observed(name, ActionState.OFFERED, digest, ""))
    return Listing(
        tool_uid=tool.metadata.uid,
        generation=tool.metadata.generation,
        actions=dict(sorted(offered.items())),
        observed=tuple(observed),
        availability=_availability(reasons, observed),
    )


def unlisted(tool: Tool, availability: Availability) -> Listing:
    """Return the listing of a tool that could not be read: nothing is offered."""
    return Listing(
        tool_uid=tool.metadata.uid,
        generation=tool.metadata.generation,
        actions={},
        observed=tuple(
            _observed(action.name, ActionState.MISSING, None, "the tool's definitions could not be read")
            for action in tool.spec.actions
        ),
        availability=availability,
    )


class _MissingError(DefinitionError):
    """The tool lists no definition for a declared action."""


def _name(entry: JsonValue) -> str:
    """Return the name of a listed action; empty, which no action is called, where it has none."""
    name = entry.get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else ""


def _only(entries: Sequence[JsonValue]) -> JsonValue:
    if not entries:
        raise _MissingError("the tool lists no such action")
    if len(entries) > 1:
        raise DefinitionError("the tool lists more than one action of this name")
    return entries[0]


def _small(entry: JsonValue, max_schema_bytes: int) -> JsonValue:
    """Return ``entry`` if it is worth a closer look: with both schemas as large as they may be, and as much text."""
    try:
        size_bytes = len(orjson.dumps(entry))
    except TypeError:
        raise DefinitionError("the definition is nested too deeply") from None
    if size_bytes > 2 * max_schema_bytes + _MAX_OTHER_BYTES:
        raise DefinitionError(f"the definition has {size_bytes} bytes, which is too large")
    return entry


def _offered(
    tool: Tool,
    declared: ToolAction,
    definition: Definition,
    gives_away: Callable[[bytes], bool],
    max_schema_bytes: int,
    known: Mapping[str, OfferedAction],
) -> OfferedAction:
    before = known.get(definition.name)
    if before is not None and before.digest == definition.digest and before.declared == declared:
        return before
    _check_text(definition, gives_away)
    try:
        mirrored = param_headers(definition.input_schema)
        compiled_input = compile_schema(definition.input_schema, max_schema_bytes)
        output = definition.output_schema
        compiled_output = None if output is None else compile_schema(output, max_schema_bytes)
    except (ParamHeaderError, SchemaError) as error:
        raise DefinitionError(_shown(str(error))) from None
    pinned = declared.definition_digest
    if pinned is not None and pinned != definition.digest:
        raise DefinitionChangedError(
            f"its definition has the digest {definition.digest}, not the pinned {pinned}: "
            "review it, then set definitionDigest to the new digest"
        )
    return OfferedAction(
        declared=declared,
        digest=definition.digest,
        input=compiled_input,
        output=compiled_output,
        mirrored=mirrored,
        offers={era: _offer(tool.metadata.name, declared, definition, era) for era in Era},
        open_offers={
            era: _offer(tool.metadata.name, declared, replace(definition, output_schema=None), era)
            for era in Era
        },
        binding=definition.binding,
    )


def _check_text(definition: Definition, gives_away: Callable[[bytes], bool]) -> None:
    parts: list[JsonValue] = [
        definition.name,
        definition.description,
        definition.input_schema,
        definition.output_schema,
        definition.binding.content if definition.binding is not None else None,
    ]
    hidden = find_hidden_within(parts)
    if hidden is not None:
        raise DefinitionError(f"the definition holds hidden text: {hidden}")
    if gives_away(orjson.dumps(parts)):
        raise DefinitionError("the definition holds the tool's credential")


def _shown(message: str) -> str:
    """Return a message that may quote the definition, without what a terminal or a person could trip over."""
    return message if find_hidden_within(message) is None else ascii(message)


def _offer(tool: str, declared: ToolAction, definition: Definition, era: Era) -> Offer:
    content: JsonObject = {"inputSchema": definition.input_schema}
    if definition.description:
        content["description"] = definition.description
    output = definition.output_schema
    # Until 2025-11-25 structured results are objects, and so their schemas say.
    if output is not None and (era is Era.MODERN or output.get("type") == "object"):
        content["outputSchema"] = output
    content["annotations"] = _ANNOTATIONS[declared.access]
    return Offer(
        plain=orjson.Fragment(orjson.dumps({"name": declared.name, **content})),
        qualified=orjson.Fragment(orjson.dumps({"name": mcp_name(tool, declared.name), **content})),
    )


def _observed(name: str, state: ActionState, digest: str | None, message: str) -> ObservedAction:
    return ObservedAction(
        name=name, state=state, definition_digest=digest, message=message[:_MAX_MESSAGE_LENGTH]
    )


def _availability(reasons: Mapping[str, Reason], observed: Sequence[ObservedAction]) -> Availability:
    if not reasons:
        return Availability(Reason.AVAILABLE, f"all {len(observed)} declared actions are offered")
    changed = Reason.DEFINITION_CHANGED in reasons.values()
    unusable = [item for item in observed if item.name in reasons]
    named = "; ".join(f"{item.name}: {item.message}" for item in unusable[:_MAX_NAMED])
    more = f"; and {len(unusable) - _MAX_NAMED} more" if len(unusable) > _MAX_NAMED else ""
    return Availability(
        Reason.DEFINITION_CHANGED if changed else Reason.DEFINITION_INVALID,
        f"{len(unusable)} of {len(observed)} declared actions can't be called: {named}{more}",
    )
