"""What the operator is told (settings) and what it finds out about the platform; reading either is the edge's part."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aos.model.agent import ResourceAmounts, Resources
from aos.model.names import GATEWAY_PORT, GATEWAY_SERVICE, gateway_host
from aos.model.workflow_run import DEFAULT_RUN_TASKS

DEFAULT_RESOURCES: Final = Resources(
    requests=ResourceAmounts(cpu="50m", memory="96Mi"), limits=ResourceAmounts(cpu="500m", memory="256Mi")
)
REVISIONS_KEPT: Final = 10
"""ControllerRevisions of an agent that are kept though no open Task runs them."""


class HostUsers(StrEnum):
    """Whether agent pods share the node's user ids, or have a user namespace of their own (``hostUsers: false``)."""

    AUTO = "auto"
    """A namespace of their own where every node that may take the pod says that its runtime can."""
    SHARED = "true"
    OWN = "false"


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """What is the same for every object.

    Attributes:
        namespace: of the operator and the gateway.
        agent_image: image of agents that name none; it must understand the argument ``agent``.
        agent_image_pull_secrets: names of Secrets that the kubelet gets ``agent_image`` with, where an agent's namespace has them.
        operator_service_account: under whose name the operator acts.
        gateway_service_account: under whose name the gateway acts.
        default_resources: what an agent's pod gets where its Agent does not say.
        host_users: whether agent pods share the node's user ids.
        task_history_limit: ended Tasks that are kept for each agent.
        finished_pod_seconds: how long the pod of a completed Task stays, for its logs.
        failed_pod_seconds: how long the pod of a failed Task stays, for its logs.
        node_lost_seconds: how long a node may be away before the Tasks on it are given up.
        max_task_pods: pods of Tasks that may run in the cluster at once, those kept warm too and those of Services not; 0 for any number.
        max_run_tasks: Tasks and runs below that a run may have, with all that they start and hand over.
        max_warm_pods: pods that may be kept warm in one namespace.
        pod_retry_seconds: between attempts at a pod that the API server refuses.
        deadline_grace_seconds: how much later than the operator the kubelet ends a pod; a net for when the operator is down.
    """

    namespace: str
    agent_image: str
    agent_image_pull_secrets: tuple[str, ...] = ()
    operator_service_account: str = "aos-operator"
    gateway_service_account: str = GATEWAY_SERVICE
    default_resources: Resources = DEFAULT_RESOURCES
    host_users: HostUsers = HostUsers.AUTO
    task_history_limit: int = 100
    finished_pod_seconds: int = 60
    failed_pod_seconds: int = 300
    node_lost_seconds: int = 60
    max_task_pods: int = 0
    max_warm_pods: int = 10
    max_run_tasks: int = DEFAULT_RUN_TASKS
    pod_retry_seconds: int = 10
    deadline_grace_seconds: int = 30

    @property
    def operator_username(self) -> str:
        """Whom the API server takes the operator for."""
        return f"system:serviceaccount:{self.namespace}:{self.operator_service_account}"

    @property
    def gateway_username(self) -> str:
        """Whom the API server takes the gateway for."""
        return f"system:serviceaccount:{self.namespace}:{self.gateway_service_account}"

    @property
    def gateway_host(self) -> str:
        """Name in the gateway's certificate."""
        return gateway_host(self.namespace)

    @property
    def gateway_url(self) -> str:
        """Where agents find the gateway."""
        return f"https://{self.gateway_host}:{GATEWAY_PORT}"


@dataclass(frozen=True, slots=True)
class Platform:
    """What agent pods have to know of the gateway.

    Attributes:
        gateway_address: the gateway's ClusterIP; empty while there is none.
        authorities: certificate authorities that its certificate may come from, as PEM; empty while there are none.
    """

    gateway_address: str = ""
    authorities: str = ""

    @property
    def missing(self) -> str:
        """What is not known yet, for people; empty if nothing."""
        if not self.gateway_address:
            return f"Service {GATEWAY_SERVICE} has no address yet"
        return "" if self.authorities else "the gateway's certificate authority is not made yet"
