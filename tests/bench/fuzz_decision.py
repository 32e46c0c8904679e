"""Feeds decisions policies and calls at random, and compares them with the slow reference of the tests.

No crash, no Allow that the reference denies or holds, no Hold that it denies, and beyond that the same answer and the same
quorums wherever the reference knows what conditions see. Every tenth input is source text instead, for conditions and templates: it compiles or is refused with a message, and what compiles gives a verdict.
"""

from collections.abc import Iterator
from random import Random
from typing import Final

from pydantic import JsonValue

from aos.policy.approvals import BoundQuorum
from aos.policy.cost import room_for, size_of
from aos.policy.decision import Call, Decision, Effect, decide, may_ever
from aos.policy.effective import effective_policy
from aos.policy.expression import Activation, Expression, ExpressionError
from aos.policy.template import Template
from tests.unit.policy.generated import World, a_call, a_world

CALLS_OF_A_WORLD: Final = 90
TEXTS_OF_A_WORLD: Final = 10
MAX_TOKENS: Final = 12
TOKENS: Final = (
    "args", ".", "x", "l", "s", "(", ")", "[", "]", "{", "}", "'a'", "''", "1", "-1", "1.5", "9223372036854775807", "true", "null", "==",
    "!=", "<", "+", "-", "*", "/", "%", "&&", "||", "!", "?", ":", ",", " in ", "has(", "size(", ".all(v, ", ".map(v, ", ".exists(v, ",
    ".filter(v, ", "v", ".contains(", ".split(", ".join(", ".replace('a', ", ".matches('a+')", ".matches(", ".?", ".optMap(v, ",
    ".orValue(", "agent.labels.role", "task.lineage", "now", ".getHours(", "'UTC'", "${", "}", "/", "\\", "\0", "\n", "//", "\u00e9", "'", '"',
    "string(", "int(", "type(", "duration('1s')", "strings.quote(", ".format([", "b'\\xff'", "r'", "'''",
)  # fmt: skip
ARGUMENTS: Final[dict[str, JsonValue]] = {"x": 1, "l": [1, "a", [True]], "s": "a,b", "m": {"k": None}}


class Broken(Exception):  # noqa: N818 - what was looked for
    """An input that breaks a rule."""


def outcomes(seed: int) -> Iterator[str]:
    """Give what became of one input after the other, without end; what breaks a rule raises."""
    random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
    while True:
        world = a_world(random)
        policy = effective_policy(world.inputs())
        for _ in range(CALLS_OF_A_WORLD):
            call = a_call(random)
            decision = decide(policy, call)
            _compare(world, call, decision)
            if decision.effect is not Effect.DENY and not may_ever(policy, call.tool, call.action):
                raise Broken(f"not denied, and not listed: {call}")
            yield decision.reason.value
        for _ in range(TEXTS_OF_A_WORLD):
            source = _text(random, list(world.conditions))
            try:
                yield _compile(source)
            except Exception as error:
                error.add_note(f"source: {source!r}")
                raise


def _text(random: Random, sources: list[str]) -> str:
    """Return tokens in a row, or a condition with one of them put in."""
    if not sources or random.random() < 1 / 2:
        return "".join(random.choices(TOKENS, k=random.randint(1, MAX_TOKENS)))
    source = random.choice(sources)
    place = random.randint(0, len(source))
    return source[:place] + random.choice(TOKENS) + source[place + random.randint(0, 2) :]


def _compare(world: World, call: Call, decision: Decision) -> None:
    denied = decision.effect is Effect.DENY
    expected = world.reference_allows(call)
    is_known = size_of([dict(call.arguments)]) is not None
    if not denied and not expected:
        raise Broken(f"not denied, and the reference denies: {call} in {world}")
    if denied and expected and is_known:
        raise Broken(f"denied, and the reference does not: {call} in {world}")
    if denied:
        return
    people = world.reference_people(call)
    if decision.allowed and people.hold:
        raise Broken(f"allowed, and the reference holds: {call} in {world}")
    found = (_told(decision.before), _told(decision.after))
    if is_known and (found != (people.before, people.after) or decision.allowed is people.hold):
        raise Broken(f"{decision.effect} with {found}, and the reference asks {people}: {call} in {world}")


def _told(quorums: tuple[BoundQuorum, ...]) -> dict[str, tuple[int, int]]:
    return {quorum.rule: (quorum.required, quorum.sample_percent) for quorum in quorums}


def _compile(source: str) -> str:
    try:
        condition = Expression(source)
    except ExpressionError:
        outcome = "text refused"
    else:
        _judge(condition)
        outcome = "text compiled"
    try:
        name = Template.compile(source).render(ARGUMENTS)
    except ExpressionError:
        return outcome
    if not (name.isascii() and name.isprintable()):
        raise Broken(f"the template {source!r} gives {name!r}")
    return outcome


def _judge(condition: Expression) -> None:
    size = size_of([ARGUMENTS])
    if size is None or not size.fits(room_for([condition.works])):
        return
    values: dict[str, dict[str, JsonValue]] = {
        "args": ARGUMENTS,
        "agent": {"labels": {}},
        "task": {"lineage": []},
        "ns": {},
    }
    verdict = condition.evaluate(
        Activation({name: values[name] for name in values if name in condition.variables})
    )
    if verdict.holds and verdict.failure:
        raise Broken(f"{condition.source!r} both holds and failed")
