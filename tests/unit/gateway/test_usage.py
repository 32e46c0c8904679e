import pytest

from aos.gateway import usage as counted
from aos.gateway.usage import Usage
from aos.model.task import TaskUsage


class Recorded:
    def __init__(self, used: TaskUsage | None) -> None:
        self.used = used

    async def used_by(self, task_uid: str) -> TaskUsage | None:
        return self.used


async def test_what_all_replicas_counted_comes_before_what_this_one_did() -> None:
    usage = Usage(Recorded(TaskUsage(calls=9, prompt_tokens=90, cost_micro_usd=7)))
    usage.add("uid-1", calls=2, denied=1, prompt_tokens=30)
    assert await usage.total("uid-1") == TaskUsage(calls=9, denied=1, prompt_tokens=90, cost_micro_usd=7)


async def test_without_the_store_it_is_what_this_replica_saw() -> None:
    for usage in (Usage(), Usage(Recorded(None))):
        usage.add("uid-1", calls=2, denied=1, completion_tokens=3)
        assert await usage.total("uid-1") == TaskUsage(calls=2, denied=1, completion_tokens=3)
        usage.drop("uid-1")
        assert await usage.total("uid-1") == TaskUsage()


async def test_a_call_that_ends_after_its_task_is_not_counted_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counted, "MAX_ENDED_TASKS", 2)
    usage = Usage()
    for number in range(4):
        usage.add(f"uid-{number}", calls=1)
        usage.drop(f"uid-{number}")
    usage.add("uid-3", calls=1)
    assert usage.of("uid-3") == TaskUsage()
    assert len(usage) == 0
