"""Every setting of the operator, each read from one variable of the environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field, ValidationInfo, field_validator

from aos.model.agent import ResourceAmounts, Resources
from aos.model.environment import EnvironmentSettings, Port
from aos.model.names import GATEWAY_ADMIN_PORT
from aos.model.quantity import CpuQuantity, MemoryQuantity, quantity
from aos.model.workflow_run import DEFAULT_RUN_TASKS
from aos.reconcile.settings import HostUsers, OperatorSettings


class ControllerSettings(EnvironmentSettings):
    """What may differ between installations."""

    program: ClassVar = "operator"
    variables: ClassVar[Mapping[str, str]] = {"namespace": "POD_NAMESPACE", "pod_uid": "POD_UID"}

    namespace: str = Field(
        min_length=1, max_length=63, description="Namespace that the operator and the gateway run in."
    )
    pod_uid: str = Field(
        default="",
        max_length=63,
        pattern=r"^[A-Za-z0-9-]*$",
        description="uid of the operator's own pod: once it is started again there, it leads at once; "
        "without it, only when its lease has run out.",
    )
    agent_image: str = Field(
        min_length=1,
        max_length=512,
        description="Image of agents that name none; it runs with the argument `agent`.",
    )
    agent_image_pull_secrets: tuple[str, ...] = Field(
        default=(),
        max_length=8,
        description="Names (comma-separated) of Secrets that agents' pods get that image with; each namespace with agents needs its own.",
    )
    kubeconfig: Path | None = Field(
        default=None, description="Kubeconfig to use; without it `KUBECONFIG` or the pod's service account."
    )
    gateway_token_file: Path = Field(
        default=Path("/var/run/secrets/aos/token"),
        description="File with the operator's token for the gateway (audience `aos-gateway`); read anew each time.",
    )
    operator_service_account: str = Field(
        default="aos-operator", max_length=63, description="Service account that the operator runs under."
    )
    gateway_service_account: str = Field(
        default="aos-gateway", max_length=63, description="Service account that the gateway runs under."
    )
    gateway_admin_port: Port = Field(
        default=GATEWAY_ADMIN_PORT, description="Port at which gateways report what they enforce."
    )
    listen_address: str = Field(default="0.0.0.0", description="Address of the health port.")  # noqa: S104 - a pod's own address
    health_port: Port = Field(
        default=8080,
        description="Port of `/healthz`, `/readyz` and `/metrics` (plain HTTP); 0 takes a free one.",
    )
    log_level: str = Field(
        default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$", description="Least level of log lines."
    )
    workers: int = Field(default=8, ge=1, le=64, description="Objects reconciled at once.")
    resync_seconds: float = Field(
        default=900,
        ge=1,
        le=86_400,
        description="Time between two looks at everything though nothing changed.",
    )
    drain_seconds: float = Field(
        default=10, ge=0, le=300, description="Time that started work has to end after a stop signal."
    )
    host_users: HostUsers = Field(
        default=HostUsers.AUTO,
        description="Whether agent pods share the node's user ids: `true`; `false` gives each a user namespace of its own (`hostUsers: false`), which nodes must support; `auto` does so where every node that may take the pod says that its runtime can.",
    )
    agent_cpu_request: CpuQuantity = Field(default="50m", description="CPU request of agents that give none.")
    agent_memory_request: MemoryQuantity = Field(
        default="96Mi", description="Memory request of agents that give none."
    )
    agent_cpu_limit: CpuQuantity = Field(default="500m", description="CPU limit of agents that give none.")
    agent_memory_limit: MemoryQuantity = Field(
        default="256Mi", description="Memory limit of agents that give none."
    )
    task_history_limit: int = Field(
        default=100, ge=0, le=10_000, description="Ended Tasks that are kept for each agent."
    )
    finished_pod_seconds: int = Field(
        default=60, ge=0, le=86_400, description="How long the pod of a completed Task stays."
    )
    failed_pod_seconds: int = Field(
        default=300, ge=0, le=86_400, description="How long the pod of a failed Task stays."
    )
    node_lost_seconds: int = Field(
        default=60, ge=1, le=3600, description="How long a node may be away before its Tasks are given up."
    )
    max_task_pods: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="Pods of Tasks that may run in the cluster at once, those kept warm too and those of Services not; 0 for any number.",
    )
    max_warm_pods: int = Field(
        default=10, ge=0, le=1_000, description="Pods that may be kept warm in one namespace."
    )
    max_run_tasks: int = Field(
        default=DEFAULT_RUN_TASKS,
        ge=1,
        le=1_000_000,
        description="Tasks and runs below that a run may have, with all that they start and hand over; as many more may undo what was done.",
    )
    pod_retry_seconds: int = Field(
        default=10,
        ge=1,
        le=600,
        description="Time between two attempts at a pod that the API server refuses.",
    )
    audit_anchor_file: Path | None = Field(
        default=None,
        description="File to which each anchor of the audit trail is added as a line of JSON, besides the ConfigMap"
        " `aos-audit-anchors`; on storage that nobody who can write the store can write.",
    )
    audit_anchor_otlp_url: str = Field(
        default="",
        max_length=2048,
        pattern=r"^(|https?://[^\s/?#@]+(/[^\s?#]*)?(\?[^\s#]*)?)$",
        description="URL of an OpenTelemetry collector that each anchor of the audit trail is posted to as a log record (OTLP"
        " over HTTP, as JSON), such as `https://collector.example:4318/v1/logs`.",
    )
    audit_anchor_otlp_headers_file: Path | None = Field(
        default=None,
        description="File with headers of those requests, `NAME: VALUE` a line; read anew each time.",
    )
    notifications_file: Path | None = Field(
        default=None,
        description="File with the webhooks that are told of requests for approval; see [notifications.md](notifications.md).",
    )

    @field_validator("agent_cpu_limit", "agent_memory_limit")
    @classmethod
    def _is_no_less_than_the_request(cls, limit: str, info: ValidationInfo) -> str:
        name = str(info.field_name).replace("limit", "request")
        request = str(info.data.get(name, ""))
        if request and quantity(request) > quantity(limit):
            raise ValueError(f"it must be at least {cls.variable_of(name)} ({request})")
        return limit

    @property
    def operator(self) -> OperatorSettings:
        """What reconciles have to know."""
        return OperatorSettings(
            namespace=self.namespace,
            agent_image=self.agent_image,
            agent_image_pull_secrets=self.agent_image_pull_secrets,
            operator_service_account=self.operator_service_account,
            gateway_service_account=self.gateway_service_account,
            default_resources=Resources(
                requests=ResourceAmounts(cpu=self.agent_cpu_request, memory=self.agent_memory_request),
                limits=ResourceAmounts(cpu=self.agent_cpu_limit, memory=self.agent_memory_limit),
            ),
            host_users=self.host_users,
            task_history_limit=self.task_history_limit,
            finished_pod_seconds=self.finished_pod_seconds,
            failed_pod_seconds=self.failed_pod_seconds,
            node_lost_seconds=self.node_lost_seconds,
            pod_retry_seconds=self.pod_retry_seconds,
            max_task_pods=self.max_task_pods,
            max_warm_pods=self.max_warm_pods,
            max_run_tasks=self.max_run_tasks,
        )
