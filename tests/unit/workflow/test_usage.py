from aos.model.task import TaskUsage
from tests.unit.workflow.flows import spec_of
from tests.unit.workflow.world import World


def used(cost: int) -> TaskUsage:
    return TaskUsage(calls=1, denied=2, prompt_tokens=3, completion_tokens=4, cost_micro_usd=cost)


def test_a_run_has_used_what_all_its_attempts_did() -> None:
    world = World(spec_of({"name": "a", "retry": {"attempts": 2, "backoff": "1s"}}, {"name": "b"}))
    world.settle()
    assert world.run.status.usage is None
    world.spend("a", used(100))
    world.fail("a")
    world.settle()
    world.after(1).settle()

    world.spend("a", used(20))
    world.spend("b", used(3))
    world.settle()

    assert world.step("a").cost_micro_usd == 120
    assert world.step("b").cost_micro_usd == 3
    assert world.run.status.usage == TaskUsage(
        calls=3, denied=6, prompt_tokens=9, completion_tokens=12, cost_micro_usd=123
    )


def test_what_was_used_once_stays_counted_though_its_task_be_deleted() -> None:
    world = World(spec_of({"name": "a", "onFailure": "Continue"}, {"name": "b"}))
    world.settle()
    world.spend("a", used(100))
    world.settle()

    world.delete("a")
    world.settle()

    assert world.step("a").cost_micro_usd == 100
    assert world.run.status.usage == used(100)


def test_what_is_told_late_is_counted_as_long_as_the_run_is_open() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b"}))
    world.settle()
    world.finish("a")
    world.settle()

    world.spend("a", used(7))
    world.settle()

    assert world.step("a").cost_micro_usd == 7
