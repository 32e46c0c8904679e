"""What the helper is told by its environment, and the bounds that it keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from aos.agent.settings import SettingsError
from aos.model.names import HELPER_PORT
from aos.model.pod_tasks import PodTasks

DEFAULT_MARKER: Final = "/tmp/aos-helper"  # noqa: S108 - the helper's own volume, which outlives its containers
_REQUIRED: Final = ("AOS_GATEWAY_URL", "AOS_TOKEN_FILE", "AOS_CA_FILE")
_MAX_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Bounds:
    """Every bound of the helper; the gateway keeps its own."""

    max_connections: int = 48
    """Connections of the image at once, fewer than the gateway takes from one pod; more are closed."""
    max_idle_connections: int = 8
    """Connections to the gateway that are kept for later requests."""
    max_head_bytes: int = 32_768
    """Request line and headers of one message."""
    max_request_bytes: int = 67_108_864
    """Body of one request: the most that a gateway can be told to take. It is passed on as it comes, never kept."""
    max_answer_bytes: int = 4_194_304
    """Body of one answer that the helper itself asked for: the Task, and what the image's A2A server says."""
    head_timeout_seconds: float = 30.0
    """Wait for the rest of a request's head, from its first byte."""
    idle_seconds: float = 600.0
    """Wait for the image's next request on a connection."""
    max_silence_seconds: float = 900.0
    """Wait for the next bytes of an answer; the gateway ends what takes longer."""
    write_timeout_seconds: float = 60.0
    """Wait for a peer that does not read."""
    connect_timeout_seconds: float = 5.0
    """Wait for one connection."""
    connect_patience_seconds: float = 20.0
    """How long connecting to the gateway is tried again: it may be restarting, and nothing was sent yet."""
    reuse_seconds: float = 30.0
    """How long a connection to the gateway is kept for the next request, less than the gateway keeps it."""
    retry_pause_seconds: float = 0.2
    """First pause between attempts; it doubles."""
    max_retry_pause_seconds: float = 5.0
    """Longest such pause."""
    report_patience_seconds: float = 60.0
    """How long a result is posted again."""
    ready_seconds: float = 120.0
    """How long the image's A2A server may take until it answers for its card."""
    first_poll_seconds: float = 0.05
    """First pause before the A2A server is asked how far it is; it grows by half."""
    max_poll_seconds: float = 1.0
    """Longest such pause."""
    task_check_seconds: float = 5.0
    """How often the gateway is asked whether the Task is still open."""
    lost_seconds: float = 10.0
    """How long an A2A server that does not answer any more is asked again."""
    cancel_seconds: float = 5.0
    """Wait for one answer to a cancellation."""


@dataclass(frozen=True, slots=True)
class A2aServer:
    """The image's A2A server, on the pod's loopback."""

    port: int
    path: str = "/"


@dataclass(frozen=True, slots=True)
class HelperSettings:
    """Where the gateway is, how the pod proves who it is, and what stands beside.

    Attributes:
        gateway_host: name of the gateway.
        gateway_port: its port.
        token_file: the pod's projected token, which the kubelet replaces.
        ca_file: the gateway's certificate authority.
        tasks: which Tasks the pod is for.
        server: the image's A2A server; None where the image asks for its Task itself.
        marker: where is kept in mind which Task was handed to the server.
        port: where the helper listens; 0 for a free one.
    """

    gateway_host: str
    gateway_port: int
    token_file: Path
    ca_file: Path
    tasks: PodTasks = PodTasks.ONE
    server: A2aServer | None = None
    marker: Path = Path(DEFAULT_MARKER)
    port: int = HELPER_PORT
    bounds: Bounds = field(default_factory=Bounds)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings that the operator gives the helper.

        Raises:
            SettingsError: variables are missing or can't be used; the message names them.
        """
        missing = [name for name in _REQUIRED if not environment.get(name)]
        if missing:
            raise SettingsError(
                f"not set: {', '.join(missing)}. The operator sets these for the helper of an agent's pod"
            )
        url = urlsplit(environment["AOS_GATEWAY_URL"])
        if url.scheme != "https" or not url.hostname or url.path not in ("", "/"):
            raise SettingsError("AOS_GATEWAY_URL must be https://HOST:PORT")
        tasks = environment.get("AOS_POD_TASKS") or PodTasks.ONE
        if tasks not in tuple(PodTasks):
            raise SettingsError(f"AOS_POD_TASKS is {tasks!r}, and not one of {', '.join(PodTasks)}")
        return cls(
            gateway_host=url.hostname,
            gateway_port=url.port or 443,
            token_file=Path(environment["AOS_TOKEN_FILE"]),
            ca_file=Path(environment["AOS_CA_FILE"]),
            tasks=PodTasks(tasks),
            server=_server(environment),
            port=_port(environment, "AOS_HELPER_PORT", HELPER_PORT),
        )


def _server(environment: Mapping[str, str]) -> A2aServer | None:
    port, path = _port(environment, "AOS_A2A_PORT", 0), environment.get("AOS_A2A_PATH") or "/"
    if not path.startswith("/"):
        raise SettingsError("AOS_A2A_PATH must begin with /")
    return A2aServer(port, path) if port else None


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    said = environment.get(name) or str(default)
    if not said.isdecimal() or int(said) > _MAX_PORT:
        raise SettingsError(f"{name} must be a port")
    return int(said)
