"""Every setting and bound of the gateway, each read from one variable of the environment."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from aos.model.environment import EnvironmentSettings, Port
from aos.model.names import GATEWAY_ADMIN_PORT, GATEWAY_HOOK_PORT, GATEWAY_PORT
from aos.model.workflow_run import DEFAULT_RUN_TASKS


class GatewaySettings(EnvironmentSettings):
    """What may differ between installations.

    A field's unit is the last word of its name; its description says what it bounds.
    """

    program: ClassVar = "gateway"
    variables: ClassVar[Mapping[str, str]] = {
        "namespace": "POD_NAMESPACE",
        "pod_name": "POD_NAME",
        "pod_uid": "POD_UID",
    }

    namespace: str = Field(
        min_length=1, max_length=63, description="Namespace that the gateway and the operator run in."
    )
    pod_name: str = Field(
        default="aos-gateway",
        min_length=1,
        max_length=200,
        description="Name of the gateway's own pod: who reports, and whose audit chain it is.",
    )
    pod_uid: str = Field(
        default="",
        max_length=63,
        pattern=r"^[A-Za-z0-9-]*$",
        description="uid of the gateway's own pod: once it is started again there, it goes on writing statuses at once; "
        "without it, only when its lease has run out.",
    )
    listen_address: str = Field(default="0.0.0.0", description="Address that all ports listen on.")  # noqa: S104 - a pod's own address
    port: Port = Field(default=GATEWAY_PORT, description="Port of agents (TLS); 0 takes a free one.")
    admin_port: Port = Field(
        default=GATEWAY_ADMIN_PORT, description="Port of the operator (TLS); 0 takes a free one."
    )
    health_port: Port = Field(
        default=8080, description="Port of probes and metrics (plain HTTP); 0 takes a free one."
    )
    hook_port: Port = Field(
        default=GATEWAY_HOOK_PORT, description="Port of webhooks that start runs (TLS); 0 takes a free one."
    )
    operator_username: str = Field(
        default="",
        max_length=512,
        description="User name that may read the enforcement report; "
        "empty means system:serviceaccount:NAMESPACE:aos-operator.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        max_length=32,
        description="Further names (comma-separated, without port) that the Host header may carry, "
        "besides the gateway's own service name and the address that was called.",
    )

    store_url: str = Field(
        default="sqlite:////var/lib/aos/store.db",
        pattern=r"^(sqlite:///.|postgres(ql)?://)",
        max_length=2048,
        repr=False,
        description="Where counters, records and the audit trail are kept: sqlite:///PATH for one replica, "
        "postgresql://... for several.",
    )
    store_timeout_seconds: float = Field(
        default=5, gt=0, le=60, description="Wait for the store; a call is denied afterwards."
    )
    store_ping_seconds: float = Field(
        default=5, gt=0, le=60, description="Time between two checks that the store can be written."
    )
    store_sweep_seconds: float = Field(
        default=30, gt=0, le=3600, description="Time between two searches for reservations whose holder died."
    )
    reservation_seconds: int = Field(
        default=900,
        ge=60,
        le=86_400,
        description="When a reservation whose gateway died is closed; what it reserved stays spent.",
    )
    audit_retention_hours: int = Field(
        default=2160,
        ge=1,
        le=87_600,
        description="How long audit rows are kept that no legal hold keeps longer.",
    )
    circuit_failures: int = Field(
        default=10, ge=1, le=10_000, description="Failures in a row after which a Tool is left alone."
    )
    circuit_window_seconds: float = Field(
        default=30,
        gt=0,
        le=3600,
        description="Time without any of their calls that may lie between those failures, in all.",
    )
    circuit_open_seconds: float = Field(
        default=15, gt=0, le=3600, description="How long a Tool is left alone before one call tries it again."
    )
    max_call_attempts: int = Field(
        default=3, ge=1, le=5, description="Tries of a Read or idempotent Write that a Tool did not answer."
    )
    max_retry_percent: int = Field(
        default=10, ge=0, le=100, description="Retries of one Tool's calls, as part of all its calls."
    )
    max_kept_result_bytes: int = Field(
        default=262_144,
        ge=1024,
        le=4_194_304,
        description="Answer of a Write that is kept to answer identical ones; of a larger one only that it was made.",
    )

    max_request_bytes: int = Field(
        default=1_048_576, ge=1024, le=67_108_864, description="Body of a request."
    )
    max_response_bytes: int = Field(
        default=4_194_304, ge=1024, le=67_108_864, description="Body of a tool's or model's answer."
    )
    max_header_bytes: int = Field(
        default=16_384, ge=1024, le=1_048_576, description="Request line and headers of a request, together."
    )
    max_headers: int = Field(default=64, ge=8, le=1024, description="Headers of a request.")
    max_json_depth: int = Field(
        default=64, ge=4, le=200, description="Nesting of JSON in requests and answers."
    )
    max_connections: int = Field(
        default=2048, ge=1, le=100_000, description="Connections at once; more are closed."
    )
    max_connections_per_address: int = Field(
        default=64, ge=1, le=100_000, description="Connections from one address at once; more are closed."
    )
    max_concurrent_calls_per_agent: int = Field(
        default=32,
        ge=1,
        le=10_000,
        description="Requests of one agent at once, and handoffs of one Task; more are answered 429.",
    )
    max_schema_bytes: int = Field(default=65_536, ge=1024, le=65_536, description="A JSON Schema of a tool.")
    max_tool_actions: int = Field(
        default=512, ge=1, le=4096, description="Definitions that a tool may list; a longer list is not used."
    )

    request_timeout_seconds: float = Field(
        default=30, gt=0, le=300, description="Wait for a whole request, from its first byte."
    )
    header_timeout_seconds: float = Field(
        default=10, gt=0, le=300, description="Wait for the headers of a request, from the connection."
    )
    keep_alive_seconds: int = Field(
        default=75, ge=1, le=3600, description="Wait for the next request on a connection."
    )
    upstream_timeout_seconds: float = Field(
        default=60, gt=0, le=600, description="Wait for a tool's whole answer, or for a model's next byte."
    )
    connect_timeout_seconds: float = Field(
        default=5, gt=0, le=60, description="Wait for a connection to a tool or model."
    )
    task_wait_seconds: float = Field(
        default=25,
        gt=0,
        le=60,
        description="Longest wait of a pod that asks for a Task before there is one for it; it is told then to ask again.",
    )
    max_waiting_pods_per_agent: int = Field(
        default=64, ge=1, le=10_000, description="Pods of one agent that may wait for a Task at once."
    )
    max_waiting_pods: int = Field(
        default=1024, ge=1, le=100_000, description="Pods that may wait for a Task at once, of all agents."
    )
    handoff_wait_seconds: float = Field(
        default=50,
        gt=0,
        le=600,
        description="Longest wait for a Task that an agent handed over, where its client waits for the answer; it is"
        " told then where the Task is, and may ask again.",
    )
    max_run_tasks: int = Field(
        default=DEFAULT_RUN_TASKS,
        ge=1,
        le=1_000_000,
        description="Tasks that a run may have, with all that it starts and hands over, before handoffs are refused; the same"
        " as the operator's.",
    )
    approval_wait_seconds: float = Field(
        default=20,
        gt=0,
        le=600,
        description="Longest wait of a call for people to decide, where its client waits for the answer; it is told then"
        " to make the identical call again later.",
    )
    max_pending_approvals: int = Field(
        default=20, ge=1, le=1000, description="Calls of one agent that may wait for people at once."
    )
    max_review_backlog: int = Field(
        default=20,
        ge=1,
        le=1000,
        description="Reviews of one agent's calls that may be open; while there are more, its calls that are to be"
        " reviewed are refused.",
    )
    stream_timeout_seconds: float = Field(
        default=600, gt=0, le=3600, description="Longest streamed answer, from its start."
    )
    token_cache_seconds: float = Field(
        default=60, ge=0, le=60, description="How long a reviewed token is not reviewed again."
    )
    max_cached_tokens: int = Field(default=20_000, ge=16, le=1_000_000, description="Reviewed tokens kept.")
    clock_skew_seconds: float = Field(
        default=5, ge=0, le=60, description="How much the clocks of API server and gateway may differ."
    )
    keys_min_refresh_seconds: float = Field(
        default=10,
        ge=1,
        le=3600,
        description="Least time between two readings of the cluster's signing keys.",
    )
    max_staleness_seconds: float = Field(
        default=300,
        ge=90,
        le=3600,
        description="How long decisions are made from what was last heard of the API server; denied afterwards."
        " A quiet watch gives a sign of life once a minute.",
    )
    catalogue_refresh_seconds: float = Field(
        default=60, ge=1, le=3600, description="Time between two readings of a tool's definitions."
    )
    report_heartbeat_seconds: float = Field(
        default=5, gt=0, le=60, description="Time between two lines of the enforcement report."
    )
    write_timeout_seconds: float = Field(
        default=30, gt=0, le=300, description="Wait for a client that does not read its answer."
    )
    stop_delay_seconds: float = Field(
        default=3,
        ge=0,
        le=60,
        description="Time between becoming unready and closing the ports, so that nobody new is sent here.",
    )
    drain_seconds: float = Field(
        default=25, ge=0, le=600, description="Time that open requests have to end after a stop signal."
    )

    @property
    def operator(self) -> str:
        """User name that may read the enforcement report."""
        return self.operator_username or f"system:serviceaccount:{self.namespace}:aos-operator"
