"""The list of AOS's kinds."""

from typing import Final

from aos.model.agent import AGENT_KIND
from aos.model.approval_request import APPROVAL_REQUEST_KIND
from aos.model.cluster_policy import CLUSTER_POLICY_KIND
from aos.model.kind import Kind
from aos.model.model import MODEL_KIND
from aos.model.policy import POLICY_KIND
from aos.model.task import TASK_KIND
from aos.model.tool import TOOL_KIND
from aos.model.workflow import WORKFLOW_KIND
from aos.model.workflow_run import WORKFLOW_RUN_KIND

KINDS: Final[tuple[Kind, ...]] = (
    AGENT_KIND,
    TOOL_KIND,
    MODEL_KIND,
    POLICY_KIND,
    CLUSTER_POLICY_KIND,
    WORKFLOW_KIND,
    WORKFLOW_RUN_KIND,
    TASK_KIND,
    APPROVAL_REQUEST_KIND,
)
