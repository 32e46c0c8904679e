"""What ``aos why`` says beyond the decision: how to ask better, where the question itself was the trouble. Pure."""

import difflib
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Final

from aos.policy.decision import Call, Decision, DecisionReason
from aos.policy.effective import EffectivePolicy
from aos.policy.explanation import Explanation, RuleVerdict

MAX_NAMES: Final = 20
"""Told at once."""
_ARGUMENTS: Final = re.compile(r"\bargs\b")
_ARGUMENT: Final = re.compile(r"\bargs(?:\.\??([A-Za-z_]\w*)|\[\??['\"]([^'\"]+)['\"]\])")


def hints(policy: EffectivePolicy, explanation: Explanation, decision: Decision, call: Call) -> list[str]:
    """Return sentences that help to ask again; none where the question was good."""
    told = [_names(policy, decision, call), _arguments(explanation, call)]
    return [sentence for sentence in told if sentence]


def _names(policy: EffectivePolicy, decision: Decision, call: Call) -> str:
    agent = policy.agent.metadata.name
    if decision.reason == DecisionReason.TOOL_UNKNOWN:
        tools = sorted(policy.tools)
        if not tools:
            return f"agent {agent} asks for no Tool of the namespace in spec.tools"
        return f"agent {agent} asks for {_listed('the Tool', tools)}{_close(call.tool, tools)}"
    if decision.reason == DecisionReason.ACTION_UNKNOWN:
        actions = sorted(action.name for action in policy.tools[call.tool].spec.actions)
        return f"Tool {call.tool} has {_listed('the action', actions)}{_close(call.action, actions)}"
    return ""


def _listed(what: str, names: list[str]) -> str:
    plural = "s" if len(names) != 1 else ""
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{what}{plural} {', '.join(names[:MAX_NAMES])}{more}"


def _close(name: str, names: list[str]) -> str:
    found = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {found[0]}?" if found and len(names) > 1 else ""


def _arguments(explanation: Explanation, call: Call) -> str:
    conditions = tuple(_short_of_arguments(explanation, call))
    if not conditions:
        return ""
    names = dict.fromkeys(_argument_names(conditions))
    missing = {name: "..." for name in names if name not in call.arguments}
    if call.arguments and not missing:
        return ""
    what = "arguments that were not given" if call.arguments else "the call's arguments, and none were given"
    example = json.dumps({**call.arguments, **missing}) if missing else '{"NAME": "..."}'
    return f"a condition looks at {what}: ask again with --args {shlex.quote(example)}"


def _short_of_arguments(explanation: Explanation, call: Call) -> Iterator[str]:
    """Yield the conditions that look at arguments, and would or might say something else of others."""
    asked = [
        *((rule.condition, rule.verdict) for rule in explanation.considered),
        *((approval.rule.when, approval.verdict) for approval in explanation.approvals),
    ]
    for condition, verdict in asked:
        if _ARGUMENTS.search(condition) and (not call.arguments or verdict is RuleVerdict.FAILED):
            yield condition


def _argument_names(conditions: Iterable[str]) -> Iterator[str]:
    for condition in conditions:
        for dotted, quoted in _ARGUMENT.findall(condition):
            yield dotted or quoted
