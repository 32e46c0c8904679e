"""Of each Workflow with webhooks it is said whether their requests can be verified, once that is known."""

from dataclasses import dataclass, field

import pytest

from aos.gateway.hooks.keys import MAX_PROBLEM_LENGTH, HookKeys
from aos.gateway.registry import Listener
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from aos.model.workflow import Workflow

OUTREACH = ObjectKey(namespace="sales", name="outreach")
GOOD = "0123456789abcdef"


def hook(name: str) -> JsonObject:
    return {"name": name, "webhook": {"secretRef": {"name": f"{name}-secret", "key": "key"}}}


def workflow(*triggers: JsonObject) -> Workflow:
    return Workflow.parse(
        {
            "metadata": {"name": "outreach", "namespace": "sales", "generation": 3},
            "spec": {"steps": [{"name": "enrich", "agent": "enricher"}], "triggers": list(triggers)},
        }
    )


@dataclass
class World:
    """The registry, and what was said."""

    found: Workflow | None = None
    problems: dict[str, str | None] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    said: list[tuple[str, str, int, str | None]] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)

    def workflow(self, namespace: str, name: str) -> Workflow | None:
        return self.found if (namespace, name) == ("sales", "outreach") else None

    def trigger_secret(self, namespace: str, workflow: str, trigger: str) -> str | None:
        assert (namespace, workflow) == ("sales", "outreach")
        return self.secrets.get(trigger)

    def trigger_problem(self, namespace: str, workflow: str, trigger: str) -> str | None:
        assert (namespace, workflow) == ("sales", "outreach")
        return "" if trigger in self.secrets else self.problems.get(trigger)

    def on_workflow_change(self, listener: Listener) -> None:
        self.listeners.append(listener)

    def webhooks(self, namespace: str, workflow: str, generation: int, problem: str | None) -> None:
        self.said.append((namespace, workflow, generation, problem))

    def changed(self, found: Workflow | None) -> str | None:
        """Let the Workflow change, and return what is said of it."""
        self.found = found
        self.said.clear()
        for listener in self.listeners:
            listener(OUTREACH)
        ((namespace, name, generation, problem),) = self.said
        assert (namespace, name) == ("sales", "outreach")
        assert generation == (found.metadata.generation if problem is not None and found else 0)
        return problem


@pytest.fixture
def world() -> World:
    made = World()
    HookKeys(made, made)
    return made


def test_what_is_missing_is_said_of_each_trigger(world: World) -> None:
    world.problems = {"a": "Secret a-secret is not there", "b": "Secret b-secret has no key key"}
    assert world.changed(workflow(hook("a"), hook("b"))) == (
        "trigger a: Secret a-secret is not there; trigger b: Secret b-secret has no key key"
    )
    world.secrets = {"a": GOOD, "b": GOOD}
    assert world.changed(workflow(hook("a"), hook("b"))) == ""


def test_a_secret_that_holds_no_key_is_said_without_quoting_it(world: World) -> None:
    world.secrets = {"a": "too-short"}
    said = world.changed(workflow(hook("a")))
    assert said == "trigger a: its Secret holds no key: the key has 9 bytes, and must have at least 16"


def test_while_it_is_not_known_nothing_is_said_unless_another_is_missing(world: World) -> None:
    world.found = workflow(hook("a"), hook("b"))
    world.secrets = {"a": GOOD}
    world.problems = {"b": None}
    for listener in world.listeners:
        listener(OUTREACH)
    assert world.said == []
    world.secrets = {}
    world.problems = {"a": "Secret a-secret is not there", "b": None}
    assert world.changed(world.found) == "trigger a: Secret a-secret is not there"


def test_of_a_workflow_without_webhooks_or_that_is_gone_there_is_nothing_to_say(world: World) -> None:
    schedule: JsonObject = {"name": "nightly", "schedule": {"cron": "0 3 * * *"}}
    assert world.changed(workflow(schedule)) is None
    assert world.changed(None) is None


def test_what_is_said_of_many_is_bounded(world: World) -> None:
    world.problems = {f"t{number}": "x" * 500 for number in range(8)}
    said = world.changed(workflow(*(hook(name) for name in world.problems)))
    assert said is not None
    assert len(said) == MAX_PROBLEM_LENGTH
