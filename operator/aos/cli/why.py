"""``aos why``: the decision on one call, made here by the same pure code as at the gateway, with all that led to it."""

import asyncio
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeVar

from pydantic import JsonValue, ValidationError

from aos.cli.connection import Connection
from aos.cli.exits import CommandError, ExitCode, usage_error
from aos.cli.formats import DataFormat
from aos.cli.inputs import parse_object
from aos.cli.namespaces import check_namespace
from aos.cli.output import Table, as_data, one_line, short_digest, wrapped
from aos.cli.why_hints import hints
from aos.cli.why_people import people, people_data, told_autonomy
from aos.kube.client import ApiClient, Selection
from aos.kube.errors import ApiError, NotFound
from aos.kube.objects import child, key_of
from aos.kube.resources import AGENTS, CLUSTER_POLICIES, NAMESPACES, POLICIES, TASKS, TOOLS, Resource
from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.cluster_policy import ClusterPolicy
from aos.model.conditions import ConditionType
from aos.model.meta import Condition, ConditionStatus
from aos.model.policy import Policy
from aos.model.task import StepOfRun, Task
from aos.model.tool import ActionState, Tool
from aos.policy.decision import Call, Decision, Effect, decide_along
from aos.policy.effective import EffectivePolicy, PolicyInputs, RuleReference, effective_policy
from aos.policy.explanation import ConsideredRule, Explanation, RuleVerdict, explain

T = TypeVar("T")

VERDICTS: Mapping[RuleVerdict, str] = {
    RuleVerdict.MATCHES: "matches",
    RuleVerdict.DOES_NOT_MATCH: "does not match",
    RuleVerdict.FAILED: "failed",
}


_EXITS: Final = {
    Effect.ALLOW: ExitCode.SUCCESS,
    Effect.HOLD: ExitCode.HELD,
    Effect.DENY: ExitCode.FAILURE,
}


@dataclass(frozen=True, slots=True)
class WhyRequest:
    """What is asked.

    Attributes:
        agent: name of the Agent.
        call: ``TOOL.ACTION``.
        arguments: a JSON object as text; empty for none.
        task: name of a Task that the call belongs to; empty for none.
        style: how to print for programs; None for people.
    """

    agent: str
    call: str
    arguments: str = ""
    task: str = ""
    style: DataFormat | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """All that is known of the call.

    Attributes:
        agent: the agent as it stands.
        call: the call that was judged.
        policy: what the agent may do, merged here.
        explanation: the decision by the agent's own policy, and the rules about the action.
        decision: what becomes of the call, by all agents that it is made for.
        obstacle: why the gateway refuses the call although policy does not; empty if nothing is known to.
    """

    agent: Agent
    call: Call
    policy: EffectivePolicy
    explanation: Explanation
    decision: Decision
    obstacle: str

    @property
    def exit_code(self) -> ExitCode:
        """SUCCESS if the gateway would let the call through, HELD if it would ask people first, else FAILURE."""
        return ExitCode.FAILURE if self.obstacle else _EXITS[self.decision.effect]

    @property
    def published_digest(self) -> str:
        """The digest that the operator published on the Agent; empty if none."""
        published = self.agent.status.policy
        return published.digest if published else ""

    @property
    def enforced(self) -> Condition | None:
        """The Agent's condition PolicyEnforced, if the operator has set it."""
        conditions = self.agent.status.conditions
        return next((item for item in conditions if item.type == ConditionType.POLICY_ENFORCED), None)


async def why(connection: Connection, request: WhyRequest) -> ExitCode:
    """Print the decision on a call: SUCCESS if it would be let through, HELD if people are asked first, else FAILURE.

    Raises:
        CommandError: the request is malformed, or the Agent or Task is not there.
        ApiError: something could not be read.
    """
    tool, action = _split(request.call)
    arguments = parse_object(request.arguments, "--args") if request.arguments else {}
    namespace = connection.resolved_namespace()
    async with connection.client() as client:
        inputs = await _gather(client, namespace, request.agent)
        asker = await _asker(client, namespace, request)
        ancestors = [
            _parsed(await _get(client, AGENTS, namespace, name), Agent.parse)
            for name in dict.fromkeys(asker.lineage)
            if name != request.agent
        ]
    call = Call(
        tool=tool,
        action=action,
        arguments=arguments,
        task=asker.task,
        requested_by=asker.requested_by,
        now=datetime.now(UTC),
        lineage=asker.lineage,
        run=asker.run,
    )
    answer = answered(inputs, call, ancestors)
    if request.style is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(report(answer, width)))
    else:
        print(as_data(data(answer), request.style))
    return answer.exit_code


def _split(call: str) -> tuple[str, str]:
    tool, dot, action = call.partition(".")
    if not (tool and dot and action):
        raise usage_error(f"{call}: name the call as TOOL.ACTION, as in crm.get_contact")
    return tool, action


async def _gather(client: ApiClient, namespace: str, name: str) -> PolicyInputs:
    (
        raw_agent,
        raw_namespace,
        (tools, _),
        (policies, unreadable),
        (upper, unreadable_upper),
    ) = await asyncio.gather(
        _get(client, AGENTS, namespace, name),
        _get(client, NAMESPACES, "", namespace),
        _collection(client, TOOLS, namespace, Tool.parse),
        _collection(client, POLICIES, namespace, Policy.parse),
        _collection(client, CLUSTER_POLICIES, "", ClusterPolicy.parse),
    )
    labels = child(child(raw_namespace, "metadata"), "labels")
    return PolicyInputs(
        agent=_parsed(raw_agent, Agent.parse),
        namespace_labels={key: value for key, value in labels.items() if isinstance(value, str)},
        tools={tool.metadata.name: tool for tool in tools},
        policies=policies,
        unreadable=unreadable,
        cluster_policies=upper,
        unreadable_cluster=unreadable_upper,
    )


async def _get(client: ApiClient, resource: Resource, namespace: str, name: str) -> JsonObject:
    try:
        return await client.get(resource, name, namespace)
    except NotFound as error:
        if "page not found" in error.message:
            raise
        await check_namespace(client, namespace or name)
        # Tasks stand in no line of `aos status`.
        shown = "kubectl get tasks" if resource is TASKS else "aos status"
        where = (
            f" in namespace {namespace}; `{shown} -n {namespace}` shows what there is" if namespace else ""
        )
        raise CommandError(ExitCode.REFUSED, f"there is no {resource.kind} {name}{where}") from error


async def _collection(
    client: ApiClient, resource: Resource, namespace: str, parse: Callable[[JsonObject], T]
) -> tuple[list[T], list[str]]:
    """Return the objects, and the names of those that can't be parsed: as the gateway, which then denies."""
    good: list[T] = []
    bad: list[str] = []
    async for raw in client.list(resource, Selection(namespace=namespace)):
        try:
            good.append(parse(raw))
        except ValidationError:
            bad.append(key_of(raw).name)
    return good, bad


def _parsed(raw: JsonObject, parse: Callable[[JsonObject], T]) -> T:
    try:
        return parse(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CommandError(
            ExitCode.REFUSED,
            f"{raw.get('kind')} {key_of(raw)} can't be read by this version of aos: {where}: {first['msg']}",
        ) from error


@dataclass(frozen=True, slots=True)
class _Asker:
    """For which Task and step the call is made, who asked for it, and which agents led to it."""

    task: str = ""
    requested_by: str = ""
    lineage: tuple[str, ...] = ()
    run: StepOfRun | None = None


async def _asker(client: ApiClient, namespace: str, request: WhyRequest) -> _Asker:
    """Return who the call is made for; without a Task, the person at the keyboard."""
    if request.task:
        task = _parsed(await _get(client, TASKS, namespace, request.task), Task.parse)
        if task.spec.agent_ref.name != request.agent:
            raise usage_error(
                f"Task {request.task} is for agent {task.spec.agent_ref.name}, not {request.agent}"
            )
        lineage = tuple(ancestor.agent for ancestor in task.spec.lineage)
        return _Asker(request.task, task.spec.requested_by, lineage, task.spec.run)
    try:
        return _Asker(requested_by=(await client.self_subject_review()).username)
    except ApiError:
        return _Asker()


def answered(inputs: PolicyInputs, call: Call, ancestors: Sequence[Agent] = ()) -> Answer:
    """Judge the call; ``ancestors`` are the agents that led to its Task, which must be allowed it as well."""
    policy = effective_policy(inputs)
    others = [effective_policy(replace(inputs, agent=ancestor)) for ancestor in ancestors]
    explanation = explain(policy, call)
    decision, barred = explanation.decision, ""
    if decision.effect is not Effect.DENY:
        along = decide_along([policy, *others], call)
        if along.effect is Effect.DENY:
            barred = along.message
        else:
            decision = along
    return Answer(
        agent=inputs.agent,
        call=call,
        policy=policy,
        explanation=explanation,
        decision=decision,
        obstacle=barred or _obstacle(policy, call),
    )


def _obstacle(policy: EffectivePolicy, call: Call) -> str:
    tool = policy.tools.get(call.tool)
    observed = (
        next((item for item in tool.status.actions if item.name == call.action), None) if tool else None
    )
    if observed is None or observed.state is ActionState.OFFERED:
        return ""
    said = f": {observed.message}" if observed.message else ""
    return f"the gateway refuses the action, which is {observed.state.value.lower()}{said}"


def report(answer: Answer, width: int | None) -> list[str]:
    """Return the answer for people, in lines of at most ``width`` characters where words allow it."""
    decision, call = answer.decision, answer.call
    agent = answer.agent.metadata
    lines = [
        f"{decision.effect.value}  {call.tool}.{call.action}  for agent {agent.name} in {agent.namespace}",
        *wrapped(f"{decision.reason}: {decision.message}", width, "  "),
    ]
    if decision.effect is not Effect.DENY and answer.obstacle:
        lines += wrapped(f"but {answer.obstacle}", width, "  ")
    if answer.explanation.considered:
        lines += ["", f"Rules about {call.tool}.{call.action}", *_rules(answer, width)]
    for rule in answer.explanation.considered:
        if rule.failure and rule.failure not in decision.message:
            lines += wrapped(f"{rule.reference} failed: {rule.failure}", width, "  ")
    lines += people(answer.explanation, decision, width)
    for hint in hints(answer.policy, answer.explanation, decision, call):
        lines += ["", *wrapped(one_line(hint), width)]
    if answer.explanation.bounds:
        lines += ["", f"Bounds on {call.tool}.{call.action}"]
        for bound in answer.explanation.bounds:
            lines += wrapped(f"{bound.name}: {bound.says}", width, "  ")
    sources = ", ".join(
        f"{source.kind} {source.name} (generation {source.generation})" for source in answer.policy.sources
    )
    lines += [
        "",
        *wrapped(f"Policy    {short_digest(answer.policy.digest)}, from {sources or 'nothing'}", width),
    ]
    lines += wrapped(f"Autonomy  {told_autonomy(answer.explanation.autonomy)}", width)
    return [*lines, *wrapped(f"Enforced  {enforcement(answer)}", width)]


def _rules(answer: Answer, width: int | None) -> list[str]:
    rows = tuple(
        (
            _named(rule.reference),
            rule.effect.value,
            VERDICTS[rule.verdict] + (", decides" if rule.decides else ""),
            one_line(rule.condition),
        )
        for rule in answer.explanation.considered
    )
    lines = Table(headings=("RULE", "EFFECT", "VERDICT", "WHEN"), rows=rows).render(width and width - 2)
    return [f"  {line}" for line in lines]


def _named(rule: RuleReference) -> str:
    kind = "" if rule.kind == "Policy" else f"{rule.kind} "
    return f"{kind}{rule.name}/{rule.rule}"


def enforcement(answer: Answer) -> str:
    """Return whether the cluster enforces the policy that was judged here, as a sentence."""
    if not answer.published_digest:
        return "unknown: the operator has published no policy on the Agent yet"
    if answer.published_digest != answer.policy.digest:
        return (
            f"no: the operator published {short_digest(answer.published_digest)}, so it has not caught up yet,"
            " or runs another version than this command"
        )
    condition = answer.enforced
    if condition is None or condition.status is ConditionStatus.UNKNOWN:
        return "unknown: the operator has not said whether the gateway enforces this policy"
    if condition.status is ConditionStatus.FALSE:
        return f"no: {condition.reason}: {condition.message}"
    return "yes: every gateway replica enforces exactly this policy"


def data(answer: Answer) -> JsonObject:
    """Return the answer for programs."""
    decision, condition = answer.decision, answer.enforced
    enforced: JsonObject = {
        "publishedDigest": answer.published_digest,
        "sameDigest": answer.published_digest == answer.policy.digest,
        "status": condition.status.value if condition else ConditionStatus.UNKNOWN.value,
        "reason": condition.reason if condition else "",
        "message": condition.message if condition else "",
    }
    sources: list[JsonValue] = [source.model_dump(mode="json") for source in answer.policy.sources]
    return {
        "agent": answer.agent.metadata.name,
        "namespace": answer.agent.metadata.namespace,
        "tool": answer.call.tool,
        "action": answer.call.action,
        "allowed": answer.exit_code is ExitCode.SUCCESS,
        "held": answer.exit_code is ExitCode.HELD,
        "effect": decision.effect.value,
        "reason": decision.reason.value,
        "message": decision.message,
        "obstacle": answer.obstacle,
        "considered": [_rule_data(rule) for rule in answer.explanation.considered],
        **people_data(answer.explanation, decision),
        "hints": list(hints(answer.policy, answer.explanation, decision, answer.call)),
        "bounds": [{"name": bound.name, "says": bound.says} for bound in answer.explanation.bounds],
        "policy": {"digest": answer.policy.digest, "sources": sources},
        "enforced": enforced,
    }


def _rule_data(rule: ConsideredRule) -> JsonObject:
    return {
        "kind": rule.reference.kind,
        "name": rule.reference.name,
        "rule": rule.reference.rule,
        "effect": rule.effect.value,
        "when": rule.condition,
        "verdict": rule.verdict.value,
        "failure": rule.failure,
        "decides": rule.decides,
    }
