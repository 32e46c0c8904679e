"""The conversation between a model, its tools and the gateway, as a pure state machine.

An event goes in, the next state and one command come out; whoever runs it does the I/O.
"""

from dataclasses import dataclass, replace

from aos.agent.answer import AnswerInvalidError, read_answer
from aos.agent.assignment import Assignment
from aos.agent.failure import Failure, FailureReason
from aos.agent.function_names import FunctionNames
from aos.agent.prompt import bounded_text, input_text, repair_text, system_text
from aos.agent.settings import Bounds
from aos.agent.strict_json import NotAnObjectError, read_object
from aos.model.base import JsonObject


@dataclass(frozen=True, slots=True)
class ToolOffer:
    """A tool as the gateway lists it."""

    name: str
    description: str
    input_schema: JsonObject


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call as the model writes it: a function's name and arguments that may not even be JSON."""

    id: str
    function: str
    arguments: str


@dataclass(frozen=True, slots=True)
class SystemMessage:
    """Instructions."""

    text: str


@dataclass(frozen=True, slots=True)
class UserMessage:
    """The task's input, or the request to repair an answer."""

    text: str


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """What the model said."""

    text: str
    calls: tuple[CallRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolMessage:
    """What a tool returned: untrusted."""

    call_id: str
    text: str


Message = SystemMessage | UserMessage | AssistantMessage | ToolMessage


@dataclass(frozen=True, slots=True)
class ModelAnswered:
    """The model gave an answer."""

    text: str
    calls: tuple[CallRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolReturned:
    """A tool call ended, well or badly."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolHeld:
    """A tool call waits for people; the other calls go on."""


@dataclass(frozen=True, slots=True)
class OutputRejected:
    """The gateway says that the output does not fit the agent's schema."""

    problems: tuple[str, ...]


Event = ModelAnswered | ToolReturned | ToolHeld | OutputRejected


@dataclass(frozen=True, slots=True)
class AskModel:
    """Ask the model to go on.

    Attributes:
        messages: The conversation so far.
        answer_only: The model is to repair its answer: no tools now, JSON by the schema.
    """

    messages: tuple[Message, ...]
    answer_only: bool = False


@dataclass(frozen=True, slots=True)
class CallTool:
    """Call one tool through the gateway."""

    name: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class AwaitTool:
    """Wait for what comes of the call that has been held the longest."""


@dataclass(frozen=True, slots=True)
class SubmitOutput:
    """Post the output; the run ends if it is accepted."""

    output: JsonObject


@dataclass(frozen=True, slots=True)
class SubmitFailure:
    """Post the failure; the run ends."""

    failure: Failure


Command = AskModel | CallTool | AwaitTool | SubmitOutput | SubmitFailure


@dataclass(frozen=True, slots=True)
class Conversation:
    """All that is known about a run.

    Attributes:
        steps: Answers that the model was asked for.
        repaired: The one repair round is used up.
        pending: Calls of the last answer that still have to be run, the current one first.
        held: Calls of the last answer that wait for people, the first one first.
    """

    assignment: Assignment
    names: FunctionNames
    bounds: Bounds
    messages: tuple[Message, ...]
    steps: int = 0
    repaired: bool = False
    pending: tuple[CallRequest, ...] = ()
    held: tuple[CallRequest, ...] = ()


Turn = tuple[Conversation, Command]


def begin(assignment: Assignment, tools: tuple[ToolOffer, ...], bounds: Bounds) -> Turn:
    """Start the conversation, or say at once why there can't be one."""
    conversation = Conversation(
        assignment=assignment,
        names=FunctionNames.of(tool.name for tool in tools),
        bounds=bounds,
        messages=(SystemMessage(system_text(assignment)), UserMessage(input_text(assignment))),
    )
    obstacle = _obstacle(assignment, tools, bounds)
    return _fail(conversation, obstacle) if obstacle else _ask(conversation)


def advance(conversation: Conversation, event: Event) -> Turn:
    """Return the state after ``event`` and what is to be done next."""
    match event:
        case ModelAnswered():
            return _after_answer(conversation, event)
        case ToolReturned(text=text):
            return _run_calls(_with_result(conversation, text))
        case ToolHeld():
            call, *rest = conversation.pending
            return _run_calls(replace(conversation, pending=tuple(rest), held=(*conversation.held, call)))
        case OutputRejected(problems=problems):
            return _repair(conversation, problems)


def _obstacle(assignment: Assignment, tools: tuple[ToolOffer, ...], bounds: Bounds) -> Failure | None:
    if not assignment.instructions.strip():
        return Failure(
            FailureReason.INSTRUCTIONS_MISSING,
            f"agent {assignment.agent} has no instructions: set spec.instructions or spec.instructionsFrom",
        )
    if not assignment.model:
        return Failure(
            FailureReason.MODEL_MISSING,
            f"agent {assignment.agent} has no model: set spec.model, or run an image that needs none",
        )
    if len(tools) > bounds.max_tools:
        return Failure(
            FailureReason.TOO_MANY_TOOLS,
            f"agent {assignment.agent} may call {len(tools)} actions and a model can be offered {bounds.max_tools}:"
            " name the actions that it needs in spec.tools",
        )
    return None


def _ask(conversation: Conversation) -> Turn:
    bounds = conversation.bounds
    if conversation.steps >= bounds.max_steps:
        return _fail(
            conversation,
            Failure(
                FailureReason.STEP_LIMIT_REACHED,
                f"no answer after {bounds.max_steps} steps (the bound is max_steps)",
            ),
        )
    return _ask_within_size(conversation, answer_only=False)


def _ask_within_size(conversation: Conversation, *, answer_only: bool) -> Turn:
    bounds = conversation.bounds
    size = sum(_size_bytes(message) for message in conversation.messages)
    if size > bounds.max_conversation_bytes:
        return _fail(
            conversation,
            Failure(
                FailureReason.CONVERSATION_TOO_LARGE,
                f"the conversation has {size} bytes, the bound max_conversation_bytes is"
                f" {bounds.max_conversation_bytes}: have the tools return less",
            ),
        )
    asked = replace(conversation, steps=conversation.steps + 1)
    return asked, AskModel(asked.messages, answer_only=answer_only)


def _after_answer(conversation: Conversation, answer: ModelAnswered) -> Turn:
    # Calls in the repair round are left out: the model was told that it can't make any.
    calls = () if conversation.repaired else answer.calls
    said = replace(
        conversation,
        messages=(*conversation.messages, AssistantMessage(answer.text, calls)),
        pending=calls,
    )
    return _run_calls(said) if calls else _submit(said, answer.text)


def _run_calls(conversation: Conversation) -> Turn:
    """Run the next pending call; those that can't be run are answered here. Then wait for those that are held."""
    while conversation.pending:
        call = conversation.pending[0]
        arguments = _arguments(call.arguments)
        if _calls_done(conversation) >= conversation.bounds.max_calls_per_step:
            conversation = _with_result(conversation, "failed: not run, too many calls in one answer")
        elif arguments is None:
            conversation = _with_result(conversation, "failed: not run, the arguments are no JSON object")
        else:
            return conversation, CallTool(conversation.names.tool(call.function), arguments)
    return (conversation, AwaitTool()) if conversation.held else _ask(conversation)


def _calls_done(conversation: Conversation) -> int:
    done = len(conversation.held)
    for message in reversed(conversation.messages):
        if not isinstance(message, ToolMessage):
            break
        done += 1
    return done


def _with_result(conversation: Conversation, text: str) -> Conversation:
    """Add the result of the current call; of the one that is held the longest where none is left to run."""
    if not conversation.pending:
        call, *rest = conversation.held
        return _in_order(replace(_said(conversation, call, text), held=tuple(rest)))
    call, *rest = conversation.pending
    return replace(_said(conversation, call, text), pending=tuple(rest))


def _said(conversation: Conversation, call: CallRequest, text: str) -> Conversation:
    result = ToolMessage(call.id, bounded_text(text, conversation.bounds.max_result_bytes))
    return replace(conversation, messages=(*conversation.messages, result))


def _in_order(conversation: Conversation) -> Conversation:
    """Put the results of the last answer's calls in the order of the calls, whichever came first."""
    messages = conversation.messages
    last = max(number for number, message in enumerate(messages) if isinstance(message, AssistantMessage))
    answer, results = messages[last], messages[last + 1 :]
    calls = answer.calls if isinstance(answer, AssistantMessage) else ()
    places = {call.id: place for place, call in enumerate(calls)}
    ordered = sorted(
        results, key=lambda result: places[result.call_id] if isinstance(result, ToolMessage) else 0
    )
    return replace(conversation, messages=(*messages[: last + 1], *ordered))


def _submit(conversation: Conversation, text: str) -> Turn:
    try:
        output = read_answer(text, structured=conversation.assignment.output_schema is not None)
    except AnswerInvalidError as error:
        return _repair(conversation, (str(error),))
    return conversation, SubmitOutput(output)


def _repair(conversation: Conversation, problems: tuple[str, ...]) -> Turn:
    if conversation.repaired:
        return _fail(
            conversation,
            Failure(FailureReason.OUTPUT_INVALID, "still invalid after a repair: " + "; ".join(problems)),
        )
    asked = replace(
        conversation, repaired=True, messages=(*conversation.messages, UserMessage(repair_text(problems)))
    )
    return _ask_within_size(asked, answer_only=True)


def _fail(conversation: Conversation, failure: Failure) -> Turn:
    return conversation, SubmitFailure(failure)


def _arguments(text: str) -> JsonObject | None:
    try:
        return read_object(text.strip() or "{}")
    except NotAnObjectError:
        return None


def _size_bytes(message: Message) -> int:
    size = len(message.text.encode("utf-8", errors="replace"))
    if isinstance(message, AssistantMessage):
        size += sum(
            len(call.function) + len(call.arguments.encode("utf-8", errors="replace"))
            for call in message.calls
        )
    return size
