"""What a handoff is held to, and what becomes of it when something fails; asked for by hand, over TLS."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from aos.kube.errors import Forbidden, QuotaExceeded, Target, Unavailable
from aos.kube.objects import child, children, text
from aos.kube.resources import POLICIES, TASKS, TOOLS
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from aos.model.names import handoff_task
from aos.policy.decision import Call, decide, decide_along
from tests.unit.gateway.make import raw_policy, raw_tool
from tests.unit.gateway_a2a.world import World, running
from tests.unit.gateway_mcp.make import in_run

TARGET = Target("create", "tasks", "sales/x")
FACTS: JsonObject = {"facts": "Ada likes trains"}
CARD: str = "4111 1111 1111 1111"


async def hand_over(
    world: World, task: str, agent: str, content: JsonObject = FACTS, number: int = 1
) -> JsonObject:
    """Send one message and do not wait for its end."""
    parts: list[JsonValue] = [{"data": content}]
    message: JsonObject = {
        "messageId": f"{json.dumps(content)}{number}",
        "role": "ROLE_USER",
        "parts": parts,
    }
    configuration: JsonObject = {"returnImmediately": True}
    return await world.rpc(task, agent, "SendMessage", {"message": message, "configuration": configuration})


async def made(world: World, task: str, agent: str, content: JsonObject = FACTS, number: int = 1) -> str:
    """The name of the Task that is handed over, once the gateway has heard of it."""
    said = await hand_over(world, task, agent, content, number)
    name = text(child(child(said, "result"), "task"), "id")
    assert name, said
    await world.until(lambda: world.registry.task("sales", name) is not None)
    return name


async def reason(world: World, task: str, agent: str, content: JsonObject = FACTS) -> str:
    failed = child(await hand_over(world, task, agent, content), "error")
    assert failed["code"] == -32020, failed
    return text(children(failed, "data")[0], "reason")


async def test_attack_22_two_agents_that_hand_work_to_each_other_end_at_the_bound() -> None:
    async with running() as world:
        task, agents = "t1", ["writer", "lead"]
        await world.agent("lead", delegates=["writer"], input={"schema": {}})
        for turn in range(3):
            task = await made(world, task, agents[turn % 2])
        said = child(await hand_over(world, task, "lead"), "error")
        rows = await world.rows()
    assert text(children(said, "data")[0], "reason") == "TooManyVisits"
    assert "lead > writer > lead > writer > lead" in text(said, "message")
    assert len(world.api.created) == 3
    lineage = children(child(world.api.created[-1], "spec"), "lineage")
    assert [item["agent"] for item in lineage] == ["lead", "writer", "lead"]
    assert rows[-1].reason == "TooManyVisits"
    assert "lead > writer" in world.held.news.told[-1][2]


async def test_a_policy_says_how_often_an_agent_may_be_in_a_chain() -> None:
    async with running() as world:
        await world.agent("lead", delegates=["writer"], input={"schema": {}})
        await world.policy(loops={"maxVisits": 1})
        task = await made(world, "t1", "writer")
        assert await reason(world, task, "lead") == "TooManyVisits"


async def test_a_chain_of_handoffs_has_a_depth() -> None:
    async with running() as world:
        for number in range(6):
            await world.agent(f"a{number}", delegates=[f"a{number + 1}"])
        await world.task("t2", "a0")
        task = "t2"
        for number in range(1, 5):
            task = await made(world, task, f"a{number}")
        assert await reason(world, task, "a5") == "TooDeep"
        await world.policy(loops={"maxDepth": 1})
        await world.task("t3", "a0")
        first = await made(world, "t3", "a1", number=2)
        assert await reason(world, first, "a2") == "TooDeep"


async def test_a_run_that_has_all_its_tasks_hands_nothing_over_but_what_undoes() -> None:
    async with running(max_run_tasks=2) as world:
        below: JsonObject = {**in_run(), "uid": "r2-uid"}
        await world.task("t2", "lead", run=in_run())
        await world.task("t3", "lead", run={**below, "undoing": True})
        await made(world, "t2", "writer")
        assert await reason(world, "t2", "writer", {"facts": "more"}) == "TooManyTasks"
        assert "(operator.maxRunTasks)" in world.held.news.told[-1][2]
        # A message that was sent before finds its Task all the same.
        await made(world, "t2", "writer")
        undoing = await made(world, "t3", "writer")
        assert await reason(world, "t3", "writer", {"facts": "more"}) == "TooManyTasks"
        # What belongs to no run has none of this, and what is gone makes room.
        await made(world, "t1", "writer")
        world.api.remove(TASKS, undoing, "sales")
        await world.until(lambda: world.registry.task("sales", undoing) is None)
        await made(world, "t3", "writer", {"facts": "more"}, number=2)


async def test_the_bounds_of_those_who_led_there_and_of_the_receiver_hold_too() -> None:
    async with running() as world:
        await world.agent("deep", delegates=["writer"], labels={"role": "deep"})
        await world.task("t2", "deep")
        selected: JsonValue = {"matchLabels": {"role": "deep"}}
        world.api.put(POLICIES, raw_policy("one-only", agents=selected, loops={"maxDepth": 1}))
        await world.until(
            lambda: world.registry.policy("sales", "deep").handoff_obligations().loops.max_depth == 1  # type: ignore[union-attr]
        )
        task = await made(world, "t2", "writer")
        assert await reason(world, task, "lead") == "TooDeep"


async def test_attack_19_what_was_handed_over_may_do_no_more_than_who_handed_it_over() -> None:
    async with running() as world:
        await world.agent("lead", tools=[], delegates=["writer"])
        world.api.put(TOOLS, raw_tool())
        await world.until(lambda: world.registry.policy("sales", "writer").tools)  # type: ignore[union-attr]
        name = await made(world, "t1", "writer")
        task = world.registry.task("sales", name)
        writer = world.registry.policy("sales", "writer")
        lead = world.registry.policy("sales", "lead")
    assert task is not None
    assert writer is not None
    assert lead is not None
    assert [item.agent for item in task.spec.lineage] == ["lead"]
    call = Call("crm", "get_contact", {}, name, "ada", datetime.now(UTC))
    assert decide(writer, call).allowed
    assert not decide_along((writer, lead), call).allowed


async def test_an_agent_that_no_policy_selects_hands_over_nothing() -> None:
    async with running() as world:
        await world.policy(agents={"matchLabels": {"role": "other"}})
        assert await reason(world, "t1", "writer") == "NoPolicy"


async def test_a_policy_that_does_not_compile_stops_handoffs() -> None:
    async with running() as world:
        rule: JsonObject = {"name": "r", "effect": "Deny", "tools": [{"name": "*"}], "when": "1 +"}
        await world.policy(rules=[rule])
        assert await reason(world, "t1", "writer") == "PolicyNotAccepted"


async def test_a_suspended_agent_hands_over_nothing_and_hears_nothing_of_what_it_did() -> None:
    async with running() as world:
        name = await made(world, "t1", "writer")
        await world.agent("lead", delegates=["writer"], suspend=True)
        assert await reason(world, "t1", "writer") == "AgentSuspended"
        for method in ("GetTask", "ListTasks", "CancelTask"):
            said = child(await world.rpc("t1", "writer", method, {"id": name}), "error")
            assert text(children(said, "data")[0], "reason") == "AgentSuspended"


async def test_attack_16_an_input_that_holds_what_policy_blocks_makes_no_task() -> None:
    async with running() as world:
        await world.policy(data={"block": ["payment"]})
        assert await reason(world, "t1", "writer", {"facts": f"pay with {CARD}"}) == "DataBlocked"
        assert world.api.created == []
        assert CARD not in json.dumps(world.held.news.told)


async def test_an_input_is_redacted_before_it_stands_in_a_task() -> None:
    async with running() as world:
        await world.policy(data={"redact": ["payment"]})
        await made(world, "t1", "writer", {"facts": f"pay with {CARD}"})
        rows = await world.rows()
    assert CARD not in json.dumps(world.api.created)
    assert "payment" in rows[0].data_classes


async def test_attack_14_an_input_leads_nobody_to_an_inside_address() -> None:
    async with running() as world:
        assert (
            await reason(world, "t1", "writer", {"facts": "see http://169.254.169.254/"}) == "UrlNotAllowed"
        )


async def test_an_input_that_is_larger_than_policy_allows_makes_no_task() -> None:
    async with running() as world:
        await world.policy(data={"redact": ["payment"], "maxRequestBytes": 64})
        assert await reason(world, "t1", "writer", {"facts": "x" * 100}) == "DataTooLarge"


@pytest.mark.parametrize(
    ("data", "state", "said"),
    [
        ({"redact": ["payment"]}, "TASK_STATE_COMPLETED", ""),
        ({"block": ["payment"]}, "TASK_STATE_FAILED", "DataBlocked"),
        ({"redact": ["pii"], "maxResponseBytes": 64}, "TASK_STATE_FAILED", "DataTooLarge"),
    ],
)
async def test_what_comes_back_is_looked_through(data: JsonObject, state: str, said: str) -> None:
    async with running() as world:
        await world.policy(data=data)
        name = await made(world, "t1", "writer")
        output: JsonObject = {"draft": f"paid with {CARD}{' and so on' * 5}"}
        world.api.status(
            name, result={"outcome": "Succeeded", "output": output, "time": "2026-01-02T03:04:06Z"}
        )
        await world.until(lambda: world.registry.task("sales", name).status.result)  # type: ignore[union-attr]
        found = child(await world.rpc("t1", "writer", "GetTask", {"id": name}), "result")
    assert CARD not in json.dumps(found)
    assert child(found, "status")["state"] == state
    assert said in json.dumps(child(found, "status"))
    assert ("artifacts" in found) == (state == "TASK_STATE_COMPLETED")


async def test_a_handoff_is_on_record_before_its_task_is_made_and_after() -> None:
    async with running() as world:
        await made(world, "t1", "writer")
        intent, outcome = await world.rows()
    assert (intent.phase, intent.subject, intent.name, intent.action) == (
        "Intent",
        "agent",
        "writer",
        "SendMessage",
    )
    assert (outcome.phase, outcome.outcome, outcome.requested_by) == ("Outcome", "Answered", "ada")
    assert intent.arguments_digest.startswith("sha256:")
    line = json.loads(world.lines[-1])
    assert (line["agent"], line["delegate"], line["outcome"]) == ("lead", "writer", "Answered")


async def test_a_task_that_has_no_time_left_hands_over_nothing() -> None:
    async with running() as world:
        late = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
        await world.task("t2", "lead")
        raw = next(item for (_, key), item in world.api.objects.items() if key.name == "t2")
        world.api.put(TASKS, {**raw, "metadata": {**child(raw, "metadata"), "creationTimestamp": late}})
        await world.until(
            lambda: world.registry.task("sales", "t2").metadata.creation_timestamp.isoformat() == late  # type: ignore[union-attr]
        )
        assert await reason(world, "t2", "writer") == "TaskEnded"


@pytest.mark.parametrize(
    ("failure", "expected", "outcome"),
    [
        (Forbidden(TARGET, 403, "Forbidden", "no rights"), "Forbidden", "Failed"),
        (QuotaExceeded(TARGET, 403, "Forbidden", "exceeded quota: tasks"), "Forbidden", "Failed"),
        (Unavailable(TARGET, 503, "ServiceUnavailable", "down"), "Internal", "Failed"),
    ],
)
async def test_a_task_that_the_api_server_does_not_take_is_told_of(
    failure: Forbidden, expected: str, outcome: str
) -> None:
    async with running() as world:
        world.api.failure = failure
        said = child(await hand_over(world, "t1", "writer"), "error")
        assert text(children(said, "data")[0], "reason") == expected
        assert failure.message not in text(said, "message")
        rows = await world.rows()
        world.api.failure = None
        name = await made(world, "t1", "writer")
    assert [row.outcome for row in rows] == ["", outcome]
    assert name.startswith("writer-")


async def test_attack_26_without_a_store_nothing_is_handed_over() -> None:
    async with running() as world:
        await world.held.store.close()
        assert await reason(world, "t1", "writer") == "StoreUnavailable"
        assert world.api.created == []


async def test_attack_22_the_same_work_is_handed_over_only_so_often() -> None:
    async with running() as world:
        await world.policy(loops={"maxIdenticalCalls": 2})
        for number in range(2):
            await made(world, "t1", "writer", number=number)
        failed = child(
            await hand_over(world, "t1", "writer", {"facts": "ADA  likes\u200b trains"}, 9), "error"
        )
    assert text(children(failed, "data")[0], "reason") == "LoopDetected"


async def test_a_cancellation_that_can_not_be_recorded_or_made_is_told_of() -> None:
    async with running() as world:
        name = await made(world, "t1", "writer")
        world.api.failure = Unavailable(TARGET, 503, "ServiceUnavailable", "down")
        failed = child(await world.rpc("t1", "writer", "CancelTask", {"id": name}), "error")
        assert text(children(failed, "data")[0], "reason") == "Internal"
        world.api.failure = None
        await world.held.store.close()
        refused = child(await world.rpc("t1", "writer", "CancelTask", {"id": name}), "error")
        assert text(children(refused, "data")[0], "reason") == "StoreUnavailable"
        assert world.registry.task("sales", name) is not None


async def test_a_task_that_is_gone_before_it_is_deleted_is_cancelled() -> None:
    async with running() as world:
        name = await made(world, "t1", "writer")
        del world.api.objects["tasks", ObjectKey(namespace="sales", name=name)]
        answer = child(await world.rpc("t1", "writer", "CancelTask", {"id": name}), "result")
    assert child(answer, "status")["state"] == "TASK_STATE_CANCELED"


async def test_a_name_that_another_task_has_is_told_of() -> None:
    async with running() as world:
        name = handoff_task("writer", "t1-uid", f"{json.dumps(FACTS)}1")
        await world.task(name, "writer")
        assert await reason(world, "t1", "writer") == "Internal"
