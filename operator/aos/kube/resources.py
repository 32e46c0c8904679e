"""The kinds that AOS reads and writes, as the API server's addresses; what they hold stands in `aos.model`."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from aos.model.names import GROUP, VERSION


@dataclass(frozen=True, slots=True)
class Resource:
    """One collection of the API server.

    Attributes:
        group: API group; empty for the core group.
        version: version within the group.
        plural: name in addresses and in RBAC rules.
        kind: name in manifests.
        namespaced: whether objects stand in namespaces.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """Group and version as manifests spell them."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "") -> str:
        """Return the address of the collection; without a namespace, over all namespaces.

        Raises:
            ValueError: the kind has no namespaces, or the name can't stand in an address.
        """
        if namespace and not self.namespaced:
            raise ValueError(f"{self.plural} are cluster-wide, yet namespace {namespace!r} was given")
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{_segment(namespace)}" if namespace else ""
        return f"{root}{scope}/{self.plural}"

    def object_path(self, namespace: str, name: str, subresource: str = "") -> str:
        """Return the address of one object, or of its subresource such as ``status``.

        Raises:
            ValueError: the namespace does not fit the kind, or a name is empty or can't stand in an address.
        """
        if self.namespaced and not namespace:
            raise ValueError(f"{self.plural} {name!r} needs a namespace")
        rest = f"/{_segment(subresource)}" if subresource else ""
        return f"{self.path(namespace)}/{_segment(name)}{rest}"


def _segment(part: str) -> str:
    if part in {"", ".", ".."} or "/" in part or "%" in part:
        raise ValueError(f"{part!r} can't be a name: it would be another address")
    return quote(part, safe="")


AGENTS: Final = Resource(GROUP, VERSION, "agents", "Agent")
TOOLS: Final = Resource(GROUP, VERSION, "tools", "Tool")
MODELS: Final = Resource(GROUP, VERSION, "models", "Model")
POLICIES: Final = Resource(GROUP, VERSION, "policies", "Policy")
CLUSTER_POLICIES: Final = Resource(GROUP, VERSION, "clusterpolicies", "ClusterPolicy", namespaced=False)
WORKFLOWS: Final = Resource(GROUP, VERSION, "workflows", "Workflow")
WORKFLOW_RUNS: Final = Resource(GROUP, VERSION, "workflowruns", "WorkflowRun")
TASKS: Final = Resource(GROUP, VERSION, "tasks", "Task")
APPROVAL_REQUESTS: Final = Resource(GROUP, VERSION, "approvalrequests", "ApprovalRequest")

PODS: Final = Resource("", "v1", "pods", "Pod")
SERVICES: Final = Resource("", "v1", "services", "Service")
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)

DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
CONTROLLER_REVISIONS: Final = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
ROLES: Final = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS: Final = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
RUNTIME_CLASSES: Final = Resource("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", namespaced=False)
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
ENDPOINT_SLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")
VALIDATING_ADMISSION_POLICIES: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    namespaced=False,
)
VALIDATING_ADMISSION_POLICY_BINDINGS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    namespaced=False,
)
TOKEN_REVIEWS: Final = Resource(
    "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False
)
SELF_SUBJECT_REVIEWS: Final = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False
)
SUBJECT_ACCESS_REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
SELF_SUBJECT_ACCESS_REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
