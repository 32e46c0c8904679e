"""What each condition means, which way is good, and what its reasons say. The reference page is generated from this."""

from dataclasses import dataclass

from aos.model.conditions import ConditionType, Reason


@dataclass(frozen=True, slots=True)
class ConditionDoc:
    """What one condition of one kind means, and the reasons it can have."""

    kind: str
    type: ConditionType
    polarity: str
    meaning: str
    reasons: dict[Reason, str]


_COMMON_NOT_READY = {
    Reason.READY: "Everything below holds.",
    Reason.NOT_ACCEPTED: "The spec was not accepted; see Accepted.",
}

CONDITIONS: tuple[ConditionDoc, ...] = (
    ConditionDoc(
        "Agent",
        ConditionType.ACCEPTED,
        "positive",
        "The spec is sound and everything it names exists.",
        {
            Reason.ACCEPTED: "The spec is sound.",
            Reason.INVALID: "A field is out of bounds; the message names it.",
            Reason.INVALID_SCHEMA: "An input or output schema is not bounded JSON Schema 2020-12 with local references.",
            Reason.INSTRUCTIONS_NOT_FOUND: "The ConfigMap or key is missing, or lacks the label aos.dev/instructions=true.",
            Reason.MODEL_NOT_FOUND: "No Model of that name in the namespace.",
            Reason.TOOL_NOT_FOUND: "No Tool of that name in the namespace.",
            Reason.ACTION_NOT_FOUND: "A Tool has no such action.",
            Reason.DELEGATE_NOT_FOUND: "No Agent of that name in the namespace.",
        },
    ),
    ConditionDoc(
        "Agent",
        ConditionType.POLICY_ENFORCED,
        "positive",
        "Every ready gateway replica enforces the effective policy whose digest is on the status.",
        {
            Reason.ENFORCED: "All replicas report the digest.",
            Reason.NO_POLICY: "No Policy selects the agent: every call is denied.",
            Reason.POLICY_NOT_ACCEPTED: "A Policy or ClusterPolicy that bears on the agent was not accepted:"
            " every call is denied.",
            Reason.PRICE_UNKNOWN: "A budget counts microUSD, and the agent's Model has neither spec.prices nor a public"
            " price: every request to the model is denied.",
            Reason.STORE_UNAVAILABLE: "A replica can't use the store, so it denies every call: limits, budgets, records and"
            " the audit trail can't be kept.",
            Reason.NO_GATEWAY: "No gateway replica is ready.",
            Reason.GATEWAY_BEHIND: "A replica still reports another digest.",
            Reason.NOT_ACCEPTED: "The Agent itself was not accepted.",
        },
    ),
    ConditionDoc(
        "Agent",
        ConditionType.READY,
        "positive",
        "The agent can take Tasks.",
        {
            **_COMMON_NOT_READY,
            Reason.NOT_ENFORCED: "Its policy is not enforced everywhere; see PolicyEnforced.",
            Reason.SUSPENDED: "It is suspended.",
            Reason.PROVISIONING: "Its identity or isolation is being made, or no pod of a Service is ready; the message says"
            " what is missing.",
            Reason.POLICY_MISSING: "The admission policy that guards agent identities is missing or altered.",
        },
    ),
    ConditionDoc(
        "Agent",
        ConditionType.SUSPENDED,
        "neutral",
        "The agent takes no Tasks and its calls are denied.",
        {
            Reason.SUSPENDED: "spec.suspend is true.",
            Reason.NOT_SUSPENDED: "spec.suspend is false.",
        },
    ),
    ConditionDoc(
        "Agent",
        ConditionType.WITHIN_BOUNDS,
        "positive",
        "The gateway does not keep refusing the agent's calls. Ready is not affected.",
        {
            Reason.WITHIN_BOUNDS: "Nothing is told of: a bound has freed, nothing was refused for five minutes, or never.",
            Reason.BUDGET_EXCEEDED: "A budget is used up; the message names policy, scope, and when enough is free.",
            Reason.LIMIT_EXCEEDED: "A limit is reached; the message names policy, scope, and when enough is free.",
            Reason.CIRCUIT_OPEN: "A Tool fails again and again and is left alone; the message names it.",
            Reason.LOOP_DETECTED: "Tasks of the agent keep making identical calls.",
            Reason.TOO_MANY_TASK_CALLS: "Tasks of the agent keep calling beyond loops.maxCallsPerTask.",
            Reason.DATA_BLOCKED: "Calls, or their answers, keep holding data of a class that a policy blocks.",
            Reason.DATA_TOO_LARGE: "Arguments, inputs or answers keep being larger than a policy allows.",
            Reason.URL_NOT_ALLOWED: "Arguments keep naming a host or address that must not be reached.",
            Reason.PROJECTION_FAILED: "Answers keep having nothing that a policy's projection can choose from.",
            Reason.DELEGATE_NOT_ALLOWED: "The agent keeps handing work to an agent that it may not hand it to.",
            Reason.DELEGATE_NOT_READY: "An agent that it hands work to stays away: it is suspended, not Ready, or not there.",
            Reason.TOO_MANY_TASKS: "Runs that its Tasks are done for have as many Tasks as they may.",
            Reason.TOO_MANY_VISITS: "The agent keeps handing work to one that stands in the chain as often as it may.",
            Reason.TOO_DEEP: "The agent keeps handing work down a chain that is as long as it may be.",
            Reason.TOO_MANY_APPROVALS: "As many of its calls as may wait for people, and nobody decides.",
            Reason.REVIEW_BACKLOG: "As many reviews of its calls as may are open, and nobody decides.",
            Reason.RECORD_UNKNOWN: "A Tool's record can't be told from the arguments that the agent gives.",
            Reason.RECORD_BUSY: "Records that it would write stay held by Tasks of others.",
            Reason.DUPLICATE_IN_FLIGHT: "Identical writes stay under way, or nobody knows what became of them.",
        },
    ),
    ConditionDoc(
        "Agent",
        ConditionType.ADMISSION_GUARDED,
        "positive",
        "The admission policies that keep others from using agent identities are bound.",
        {
            Reason.GUARDED: "Policies and bindings are as the chart installs them.",
            Reason.POLICY_MISSING: "A policy or binding is missing or altered; agents are not started.",
        },
    ),
    ConditionDoc(
        "Tool",
        ConditionType.ACCEPTED,
        "positive",
        "The spec is sound.",
        {
            Reason.ACCEPTED: "The spec is sound.",
            Reason.INVALID: "A field is out of bounds; the message names it.",
            Reason.INVALID_SCHEMA: "spec.memory.schema is not bounded JSON Schema 2020-12 with local references.",
            Reason.INVALID_EXPRESSION: "An action's record does not compile; the message gives the action and the position."
            " Every call of that action is denied.",
        },
    ),
    ConditionDoc(
        "Tool",
        ConditionType.AVAILABLE,
        "positive",
        "Set by the gateway: the tool answers, its credential is there and its definitions are sound.",
        {
            Reason.AVAILABLE: "The tool was listed and every declared action is usable.",
            Reason.UNREACHABLE: "The tool did not answer, or not as MCP asks.",
            Reason.CREDENTIALS_MISSING: "The Secret or its key is missing.",
            Reason.DEFINITION_CHANGED: "A definition no longer has the digest it is pinned to; that action is quarantined.",
            Reason.DEFINITION_INVALID: "A definition is unsafe or missing; that action is quarantined.",
            Reason.NOT_OBSERVED: "No gateway has looked yet.",
        },
    ),
    ConditionDoc(
        "Tool",
        ConditionType.READY,
        "positive",
        "Accepted and available.",
        {
            **_COMMON_NOT_READY,
            Reason.PROVISIONING: "The API server refused the gateway's access to the credential; it is tried again.",
            Reason.UNAVAILABLE: "Not available; see Available.",
            Reason.NOT_OBSERVED: "No gateway has looked at this generation yet.",
        },
    ),
    ConditionDoc(
        "Model",
        ConditionType.ACCEPTED,
        "positive",
        "The spec is sound.",
        {
            Reason.ACCEPTED: "The spec is sound.",
            Reason.INVALID: "A field is out of bounds; the message names it.",
        },
    ),
    ConditionDoc(
        "Model",
        ConditionType.AVAILABLE,
        "positive",
        "Set by the gateway: its credential is there.",
        {
            Reason.AVAILABLE: "The credential is there, or none is asked for.",
            Reason.CREDENTIALS_MISSING: "The Secret or its key is missing.",
            Reason.NOT_OBSERVED: "No gateway has looked yet.",
        },
    ),
    ConditionDoc(
        "Model",
        ConditionType.READY,
        "positive",
        "Accepted and available.",
        {
            **_COMMON_NOT_READY,
            Reason.PROVISIONING: "The API server refused the gateway's access to the credential; it is tried again.",
            Reason.UNAVAILABLE: "Not available; see Available.",
            Reason.NOT_OBSERVED: "No gateway has looked at this generation yet.",
        },
    ),
    ConditionDoc(
        "Policy",
        ConditionType.ACCEPTED,
        "positive",
        "Every rule compiles; a Policy that is not accepted denies every call of the agents it selects.",
        {
            Reason.ACCEPTED: "Every rule compiles.",
            Reason.INVALID: "A field is out of bounds; the message names it.",
            Reason.INVALID_EXPRESSION: "A CEL expression does not compile to a bool, or a pattern is no RE2 expression; the"
            " message gives the field and the position.",
        },
    ),
    ConditionDoc(
        "Policy",
        ConditionType.READY,
        "positive",
        "The Policy takes part in decisions.",
        dict(_COMMON_NOT_READY),
    ),
    ConditionDoc(
        "ClusterPolicy",
        ConditionType.ACCEPTED,
        "positive",
        "Everything in it compiles; a ClusterPolicy that is not accepted denies every call of the agents it selects.",
        {
            Reason.ACCEPTED: "Everything compiles.",
            Reason.INVALID: "A field is out of bounds; the message names it. Every call of every agent is denied, since nobody"
            " can tell whom it selects.",
            Reason.INVALID_EXPRESSION: "A CEL expression does not compile to a bool, or a pattern is no RE2 expression; the"
            " message gives the field and the position.",
        },
    ),
    ConditionDoc(
        "ClusterPolicy",
        ConditionType.READY,
        "positive",
        "The ClusterPolicy takes part in decisions.",
        dict(_COMMON_NOT_READY),
    ),
    ConditionDoc(
        "Task",
        ConditionType.STARTED,
        "positive",
        "The Task's one pod exists.",
        {
            Reason.PENDING: "The operator has not made the pod yet.",
            Reason.AGENT_NOT_FOUND: "The agent does not exist (yet).",
            Reason.AGENT_NOT_READY: "The agent is not ready; its conditions say why.",
            Reason.AGENT_SUSPENDED: "The agent is suspended.",
            Reason.QUOTA_EXCEEDED: "A ResourceQuota is full; the pod is tried again.",
            Reason.POD_REJECTED: "The API server refused the pod; it is tried again.",
            Reason.WAITING_FOR_CAPACITY: "Every pod of the Service works on another Task, or as many pods of Tasks run as may;"
            " the message tells its place.",
            Reason.STARTING: "The pod exists and is being started.",
            Reason.UNSCHEDULABLE: "No node can take the pod.",
            Reason.IMAGE_PULL_FAILED: "The image can't be pulled; it is tried until the deadline.",
            Reason.RUNNING: "The agent runs.",
        },
    ),
    ConditionDoc(
        "Task",
        ConditionType.SUCCEEDED,
        "positive",
        "Unknown while the Task runs; True or False once it has ended, and then it never changes.",
        {
            Reason.PENDING: "Not started.",
            Reason.RUNNING: "Running.",
            Reason.COMPLETED: "The agent handed in an output that fits its schema.",
            Reason.INPUT_INVALID: "The input does not fit the agent's input schema.",
            Reason.AGENT_FAILED: "The agent reported a failure; the message is its own.",
            Reason.POD_FAILED: "The pod ended with an error and no result.",
            Reason.POD_LOST: "The pod was removed by someone else.",
            Reason.NODE_LOST: "The node died.",
            Reason.OUT_OF_MEMORY: "The pod hit its memory limit.",
            Reason.NO_RESULT: "The pod ended well but handed in nothing.",
            Reason.IMAGE_PULL_FAILED: "The image could not be pulled before the deadline.",
            Reason.QUOTA_EXCEEDED: "The quota stayed full until the deadline.",
            Reason.UNSCHEDULABLE: "No node could take the pod before the deadline.",
            Reason.POD_REJECTED: "The API server refused the pod until the deadline.",
            Reason.WAITING_FOR_CAPACITY: "It did not get its turn before the deadline.",
            Reason.AGENT_NOT_READY: "The agent did not get ready before the deadline.",
            Reason.AGENT_NOT_FOUND: "The agent did not appear before the deadline.",
            Reason.AGENT_SUSPENDED: "The agent stayed suspended until the deadline.",
            Reason.DEADLINE_EXCEEDED: "The deadline passed before the agent had handed in a result.",
            Reason.REVISION_LOST: "The revision that the Task runs was removed.",
            Reason.PARENT_ENDED: "The Task that handed this one over has ended, so nobody waits for it.",
        },
    ),
    ConditionDoc(
        "Workflow",
        ConditionType.ACCEPTED,
        "positive",
        "Every step, expression and schema fits the others. A Workflow that is not accepted starts no run.",
        {
            Reason.ACCEPTED: "The spec is sound.",
            Reason.INVALID: "A field is out of bounds; the message names it.",
            Reason.INVALID_SCHEMA: "The input schema is not bounded JSON Schema 2020-12 with local references.",
            Reason.INVALID_EXPRESSION: "A CEL expression does not compile, or names what is not there; the message gives the"
            " field and the position.",
            Reason.STEP_INVALID: "A step names a step that is not there, or one that it may not; the message gives the field.",
            Reason.CYCLE: "Steps, or Workflows that run each other, wait for each other; the message tells the way round.",
            Reason.TYPE_MISMATCH: "What a step is given can't fit what its agent or Workflow asks for, or an expression uses a"
            " field that an output schema does not have; the message gives the field.",
            Reason.AGENT_NOT_FOUND: "A step names an Agent that is not there.",
            Reason.CAPABILITY_NOT_FOUND: "No Agent of the namespace offers a capability that a step asks for.",
            Reason.WORKFLOW_NOT_FOUND: "A step names a Workflow that is not there.",
            Reason.TRIGGER_INVALID: "A trigger's cron expression or time zone can't be read.",
        },
    ),
    ConditionDoc(
        "Workflow",
        ConditionType.READY,
        "positive",
        "Runs can be started by all that should start them.",
        {
            **_COMMON_NOT_READY,
            Reason.SUSPENDED: "It is suspended.",
            Reason.CREDENTIALS_MISSING: "The Secret of a webhook, or its key, is missing or is no key; the message names it. That webhook"
            " starts no run, and everything else does.",
            Reason.NOT_OBSERVED: "It has webhooks, and no gateway has looked for their Secrets at this generation yet. Runs are started.",
            Reason.PROVISIONING: "Its revision is being recorded, or the API server refused the gateway's access to a"
            " trigger's secret.",
        },
    ),
    ConditionDoc(
        "WorkflowRun",
        ConditionType.SUSPENDED,
        "neutral",
        "No further step is started.",
        {
            Reason.SUSPENDED: "spec.suspend of the run or of its Workflow is true.",
            Reason.NOT_SUSPENDED: "Neither is suspended.",
        },
    ),
    ConditionDoc(
        "WorkflowRun",
        ConditionType.SUCCEEDED,
        "positive",
        "Unknown while the run is open; True or False once it has ended, and then it never changes.",
        {
            Reason.PENDING: "Not started.",
            Reason.QUEUED: "As many runs of the Workflow are open as may be; it waits for its turn.",
            Reason.WORKFLOW_NOT_FOUND: "The Workflow is not there.",
            Reason.WORKFLOW_NOT_READY: "The Workflow is not ready; its conditions say why.",
            Reason.AGENT_NOT_FOUND: "An agent of a step is not there, or has no revision yet.",
            Reason.CAPABILITY_NOT_FOUND: "No agent that offers a step's capability is ready.",
            Reason.CAPABILITY_AMBIGUOUS: "More than one agent that offers a step's capability is ready; nobody guesses.",
            Reason.RUNNING: "Steps are being worked on.",
            Reason.WAITING_FOR_PEOPLE: "Nothing is being worked on until people have decided; status.waitingFor names what.",
            Reason.COMPENSATING: "It failed or was cancelled, and what was done is being undone.",
            Reason.COMPLETED: "Every step is done.",
            Reason.INPUT_INVALID: "The input does not fit the Workflow's input schema.",
            Reason.EXPRESSION_FAILED: "The run's output could not be computed.",
            Reason.STEP_FAILED: "A step failed for good; the message names it.",
            Reason.CANCELLED: "Somebody cancelled it.",
            Reason.TIMED_OUT: "It was not done in time.",
            Reason.TOO_MANY_RUNS: "As many runs of the Workflow were open as may be.",
            Reason.REPLACED: "A newer run took its place.",
            Reason.TOO_DEEP: "Too many runs stand above it.",
            Reason.TOO_MANY_TASKS: "It has, with all runs that belong together with it, as many Tasks and runs as may be.",
            Reason.PARENT_ENDED: "The run that started it has ended.",
            Reason.REVISION_LOST: "The Workflow's revision that it runs was removed, or this version can't run it.",
        },
    ),
    ConditionDoc(
        "ApprovalRequest",
        ConditionType.APPROVED,
        "neutral",
        "Every quorum is reached. A call that waits is let through by the gateway, once; a run goes on after its gate.",
        {
            Reason.WAITING: "People are still to decide.",
            Reason.QUORUM_REACHED: "Enough people approved.",
            Reason.REJECTED: "Somebody rejected it.",
            Reason.EXPIRED: "Nobody decided in time, or the approved call was not made in time.",
            Reason.POLICY_CHANGED: "It is Stale for this.",
            Reason.AGENT_CHANGED: "It is Stale for this.",
            Reason.TOOL_CHANGED: "It is Stale for this.",
            Reason.RECORD_CHANGED: "It is Stale for this.",
            Reason.TASK_ENDED: "It is Stale for this.",
            Reason.RUN_ENDED: "It is Stale for this.",
            Reason.ENFORCEMENT_LAPSED: "Decisions can't be trusted while the admission policies are missing or altered,"
            " nor can what was decided meanwhile, ever.",
        },
    ),
    ConditionDoc(
        "ApprovalRequest",
        ConditionType.REJECTED,
        "neutral",
        "Somebody who may decide said no, and that is final.",
        {
            Reason.REJECTED: "Somebody rejected it; spec.decisions says who, and why.",
            Reason.NOT_REJECTED: "Nobody rejected it.",
        },
    ),
    ConditionDoc(
        "ApprovalRequest",
        ConditionType.EXPIRED,
        "neutral",
        "The time in which it could be decided, and used, is over.",
        {
            Reason.EXPIRED: "spec.expiresAt has passed.",
            Reason.NOT_EXPIRED: "There is still time.",
        },
    ),
    ConditionDoc(
        "ApprovalRequest",
        ConditionType.STALE,
        "neutral",
        "What people were asked about is not what would happen any more; the agent has to ask anew.",
        {
            Reason.CURRENT: "Everything is as it was when the request was made.",
            Reason.POLICY_CHANGED: "The agent's effective policy is another one.",
            Reason.AGENT_CHANGED: "The agent is gone, or has another revision.",
            Reason.TOOL_CHANGED: "The tool is gone, or its action's definition is another one.",
            Reason.RECORD_CHANGED: "Another call changed the record.",
            Reason.TASK_ENDED: "The Task has ended, so nobody waits for the call.",
            Reason.RUN_ENDED: "The run has ended, was cancelled or is gone, or its step has ended, so nobody waits at the gate.",
            Reason.ENFORCEMENT_LAPSED: "Decisions were made while the admission policies were missing or altered.",
        },
    ),
    ConditionDoc(
        "ApprovalRequest",
        ConditionType.USED,
        "neutral",
        "The call was let through; no other one is.",
        {
            Reason.USED: "status.use names the call in the audit trail.",
            Reason.NOT_USED: "No call was let through.",
        },
    ),
    ConditionDoc(
        "ApprovalRequest",
        ConditionType.ENFORCEMENT_ACTIVE,
        "positive",
        "The admission policies that keep decisions honest are in force as the operator would write them.",
        {
            Reason.GUARDED: "All policies and their bindings are as they should be.",
            Reason.POLICY_MISSING: "A policy or binding is missing or altered, or was within the last seconds; no approval"
            " counts until it is restored and heeded.",
        },
    ),
)
