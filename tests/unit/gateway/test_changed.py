"""What a change of an object comes to."""

import pytest

from aos.gateway.changed import is_same_spec, labels_of, pod_of, unreadable_names
from aos.gateway.facts import UnreadablePolicy
from aos.gateway.table import Change
from aos.model.agent import Agent
from aos.model.meta import ObjectKey
from aos.model.policy import Policy
from tests.unit.cli.make import task
from tests.unit.policy.make import agent, policy, rule

KEY = ObjectKey(namespace="sales", name="enricher")


def numbered(generation: int, uid: str = "u1") -> Agent:
    one = agent()
    return one.model_copy(
        update={"metadata": one.metadata.model_copy(update={"uid": uid, "generation": generation})}
    )


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (numbered(1), numbered(1), True),
        (numbered(1), numbered(2), False),
        (numbered(1), numbered(1, "u2"), False),
        (None, numbered(1), False),
        (numbered(1), None, False),
    ],
)
def test_a_spec_is_the_same_while_its_object_and_generation_are(
    old: Agent | None,
    new: Agent | None,
    same: bool,  # noqa: FBT001 - a case of the table
) -> None:
    assert is_same_spec(Change(KEY, old, new)) is same


def test_what_can_not_be_read_is_never_the_same() -> None:
    unreadable = UnreadablePolicy("broken", "no rules")
    change: Change[Policy | UnreadablePolicy] = Change(KEY, unreadable, unreadable)
    assert not is_same_spec(change)
    assert unreadable_names([policy(rule("read")), unreadable]) == ["broken"]


def test_what_is_not_there_has_no_labels_and_no_pod() -> None:
    assert labels_of(None) == {}
    assert labels_of(agent({"role": "research"})) == {"role": "research"}
    assert pod_of(None) == ""
    assert pod_of(task()) == ""
    assert pod_of(task(pod={"name": "p", "uid": "u"})) == "u"
