"""What the runtime is told by its environment, and the bounds that it keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from aos.model.pod_tasks import PodTasks

DEFAULT_TERMINATION_LOG: Final = "/dev/termination-log"
DEFAULT_MARKER: Final = "/tmp/aos-task"  # noqa: S108 - the pod's own volume, which outlives its containers

_REQUIRED: Final = ("AOS_GATEWAY_URL", "AOS_TOKEN_FILE", "AOS_CA_FILE", "OPENAI_BASE_URL", "AOS_MCP_URL")


class SettingsError(ValueError):
    """The environment lacks something without which an agent's program can't start, or holds what it can't use."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Every bound of the runtime.

    The gateway and the operator keep their own; these make a run that goes nowhere end early and say why.
    """

    max_steps: int = 24
    """Answers that the model may give before the task fails."""
    max_calls_per_step: int = 16
    """Tool calls that are run out of one answer; the others are refused in the conversation."""
    max_tools: int = 128
    """Tools that a model can be offered (the limit of the chat completions API)."""
    max_tool_pages: int = 32
    """Pages of ``tools/list`` that are followed."""
    max_result_bytes: int = 32 * 1024
    """Bytes of one tool result that enter the conversation."""
    max_conversation_bytes: int = 512 * 1024
    """Bytes of the whole conversation: half of what the gateway takes in one request."""
    max_response_bytes: int = 4 * 1024 * 1024
    """Bytes of one response from the gateway."""
    model_timeout_seconds: float = 120.0
    """Longest wait for one answer of the model."""
    model_retries: int = 4
    """How often a model that is busy or unreachable is asked again, with growing pauses."""
    tool_timeout_seconds: float = 120.0
    """Longest wait for one answer to a tool call: a while for people to decide, and then the tool's own time."""
    max_held_pause_seconds: float = 60.0
    """Longest pause before a call that waits for people is repeated, whatever the gateway asks for."""
    max_stale_repeats: int = 1
    """How often people are asked anew about a call whose approval does not hold any more."""
    handoff_wait_seconds: float = 60.0
    """Longest wait for one answer to a handoff; the gateway answers earlier, and is asked again while the work goes on."""
    handoff_timeout_seconds: float = 691_200.0
    """Longest wait for what comes of a handoff: a Task's longest deadline, and a week in which people may decide on its calls."""
    connect_timeout_seconds: float = 5.0
    """Longest wait for one connection to the gateway."""
    connect_retries: int = 6
    """How often a connection is tried again; nothing was sent yet, so it repeats no call."""
    fetch_timeout_seconds: float = 60.0
    """How long the runtime waits for the gateway to know its pod and hand out the task that the pod was made for."""
    last_look_seconds: float = 2.0
    """How long a Service that is to end looks whether a Task was given to it at the last moment."""
    report_timeout_seconds: float = 60.0
    """How long the runtime tries to post the result."""
    report_margin_seconds: float = 5.0
    """Time kept before the deadline for saying that it was missed; a fifth of what is left if that is less."""
    retry_pause_seconds: float = 0.5
    """First pause between attempts at the task's own endpoints; it doubles."""
    max_retry_pause_seconds: float = 5.0
    """Longest such pause, whatever ``Retry-After`` asks for."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Where the gateway is, how the pod proves who it is, and which Tasks it is for.

    Attributes:
        marker: where a Service keeps in mind which Task it began, so that it is not begun again after a crash.
    """

    gateway_url: str
    token_file: Path
    ca_file: Path
    model_url: str
    mcp_url: str
    termination_log: Path = Path(DEFAULT_TERMINATION_LOG)
    tasks: PodTasks = PodTasks.ONE
    marker: Path = Path(DEFAULT_MARKER)
    bounds: Bounds = field(default_factory=Bounds)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings that the operator puts into every agent pod.

        Raises:
            SettingsError: variables are missing; the message names all of them.
        """
        missing = [name for name in _REQUIRED if not environment.get(name)]
        if missing:
            raise SettingsError(
                f"not set: {', '.join(missing)}. The operator sets these in every agent pod; "
                "outside one, point them at a gateway"
            )
        said = environment.get("AOS_POD_TASKS") or PodTasks.ONE
        if said not in tuple(PodTasks):
            raise SettingsError(f"AOS_POD_TASKS is {said!r}, and not one of {', '.join(PodTasks)}")
        return cls(
            gateway_url=environment["AOS_GATEWAY_URL"].rstrip("/"),
            token_file=Path(environment["AOS_TOKEN_FILE"]),
            ca_file=Path(environment["AOS_CA_FILE"]),
            model_url=environment["OPENAI_BASE_URL"].rstrip("/"),
            mcp_url=environment["AOS_MCP_URL"],
            termination_log=Path(environment.get("AOS_TERMINATION_LOG") or DEFAULT_TERMINATION_LOG),
            tasks=PodTasks(said),
            marker=Path(environment.get("AOS_TASK_MARKER") or DEFAULT_MARKER),
        )
