"""What the work queue holds: names of things to bring to their desired state."""

from dataclasses import dataclass
from enum import StrEnum


class Subject(StrEnum):
    """Kinds of work."""

    AGENT = "Agent"
    TASK = "Task"
    TOOL = "Tool"
    MODEL = "Model"
    POLICY = "Policy"
    CLUSTER_POLICY = "ClusterPolicy"
    WORKFLOW = "Workflow"
    WORKFLOW_RUN = "WorkflowRun"
    APPROVAL_REQUEST = "ApprovalRequest"
    HISTORY = "History"
    CERTIFICATES = "Certificates"
    ANCHORS = "Anchors"


@dataclass(frozen=True, slots=True)
class Key:
    """One thing to reconcile; for a history the name is the agent's."""

    subject: Subject
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.subject} {self.namespace}/{self.name}"


CERTIFICATES = Key(Subject.CERTIFICATES, "", "")
ANCHORS = Key(Subject.ANCHORS, "", "")
