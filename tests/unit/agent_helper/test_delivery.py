import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from a2a.helpers.proto_helpers import new_data_part, new_text_part
from a2a.server.tasks import TaskUpdater
from starlette.responses import PlainTextResponse

from aos.agent.helper.main import ExitCode, run_helper
from aos.kube.objects import text
from aos.kube.resources import TASKS
from aos.model.base import JsonObject
from aos.model.pod_tasks import PodTasks
from tests.unit.agent_helper.cluster import QUICK, cluster
from tests.unit.agent_helper.servers import ByHand, never, official

SCHEMA: JsonObject = {"type": "object", "required": ["score"], "properties": {"score": {"type": "number"}}}


async def scored(given: JsonObject, updater: TaskUpdater) -> None:
    await updater.add_artifact([new_data_part({"score": 0.5, "lead": given["lead"]})])
    await updater.complete()


def failure(result: JsonObject) -> tuple[str, str]:
    assert result["outcome"] == "Failed"
    return text(result, "reason"), text(result, "message")


@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_a_server_of_the_official_sdk_does_one_task_after_the_other(
    tmp_path: Path, version: str
) -> None:
    async with (
        official(scored, "/rpc", version) as (port, agent),
        cluster(tmp_path, output={"schema": SCHEMA}) as world,
        world.helper(port, path="/rpc"),
    ):
        for uid in ("u1", "u2", "u3"):
            world.task(uid, {"lead": uid})
            result = await world.result(uid)
            assert (result["outcome"], result["output"]) == ("Succeeded", {"score": 0.5, "lead": uid})
    assert agent.given == [{"lead": "u1"}, {"lead": "u2"}, {"lead": "u3"}]
    assert agent.messages == ["u1", "u2", "u3"]


async def test_text_is_an_output_too(tmp_path: Path) -> None:
    async def told(given: JsonObject, updater: TaskUpdater) -> None:
        await updater.add_artifact([new_text_part(str(given["say"]))])
        await updater.complete()

    async with (
        official(told) as (port, _),
        cluster(tmp_path) as world,
        world.helper(port),
    ):
        for uid, said, output in (
            ("u1", "Dear Ada", {"text": "Dear Ada"}),
            ("u2", '{"score": 1}', {"score": 1}),
            ("u3", "[1]", {"text": "[1]"}),
        ):
            world.task(uid, {"say": said})
            assert (await world.result(uid))["output"] == output


async def test_work_that_takes_long_is_asked_for_until_it_is_done(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def slow(given: JsonObject, updater: TaskUpdater) -> None:
        await go_on.wait()
        await scored(given, updater)

    async with official(slow) as (port, agent), cluster(tmp_path) as world, world.helper(port):
        world.task("u1", {"lead": "ada"})
        while not agent.given:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        go_on.set()
        assert (await world.result("u1"))["outcome"] == "Succeeded"


async def test_work_that_fails_or_asks_for_more_is_told_with_the_agents_words(tmp_path: Path) -> None:
    async def fail(given: JsonObject, updater: TaskUpdater) -> None:
        message = updater.new_agent_message([new_text_part("the CRM is empty")])
        await (updater.failed(message) if given["how"] == "failed" else updater.requires_input(message))

    async with official(fail) as (port, _), cluster(tmp_path) as world, world.helper(port):
        for uid, how in (("u1", "failed"), ("u2", "input-required")):
            world.task(uid, {"how": how})
            reason, message = failure(await world.result(uid))
            assert (reason, message) == (
                "AgentFailed",
                f"the agent ended its work as {how}: the CRM is empty",
            )


async def test_an_output_that_does_not_fit_the_schema_is_a_failure_that_says_where(tmp_path: Path) -> None:
    async def unfit(_: JsonObject, updater: TaskUpdater) -> None:
        await updater.add_artifact([new_data_part({"score": "high"})])
        await updater.complete()

    async with (
        official(unfit) as (port, _),
        cluster(tmp_path, output={"schema": SCHEMA}) as world,
        world.helper(port),
    ):
        world.task("u1", {})
        reason, message = failure(await world.result("u1"))
    assert reason == "OutputInvalid"
    assert "/score" in message


@pytest.mark.parametrize("how", ["ended", "deleted"])
async def test_work_for_a_task_that_has_ended_is_cancelled_and_the_next_one_done(
    tmp_path: Path, how: str
) -> None:
    async def work(given: JsonObject, updater: TaskUpdater) -> None:
        if given["lead"] == "first":
            await never()
        await scored(given, updater)

    async with official(work) as (port, agent), cluster(tmp_path) as world, world.helper(port):
        world.task("u1", {"lead": "first"})
        while not agent.given:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        if how == "ended":
            world.end("u1", "DeadlineExceeded")
        else:
            world.api.remove(TASKS, "u1")
        world.task("u2", {"lead": "second"})
        assert (await world.result("u2"))["outcome"] == "Succeeded"
    assert len(agent.cancelled) == 1


async def test_a_warm_pod_does_one_task_and_no_second(tmp_path: Path) -> None:
    owner: JsonObject = {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Agent",
        "name": "enricher",
        "uid": "enricher-uid",
        "controller": True,
    }
    async with (
        official(scored) as (port, agent),
        cluster(tmp_path, owner=owner) as world,
        world.helper(port, PodTasks.LATER),
    ):
        world.task("u1", {"lead": "ada"})
        await world.result("u1")
        world.task("u2", {"lead": "bob"})
        await asyncio.sleep(0.2)
    assert agent.messages == ["u1"]


async def test_a_task_that_was_handed_over_before_the_helper_ended_is_not_handed_over_again(
    tmp_path: Path,
) -> None:
    async def work(given: JsonObject, updater: TaskUpdater) -> None:
        if given["lead"] == "first":
            await never()
        await scored(given, updater)

    async with official(work) as (port, agent), cluster(tmp_path) as world:
        async with world.helper(port):
            world.task("u1", {"lead": "first"})
            while '"id": ""' in _marker(tmp_path) or not agent.given:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        async with world.helper(port):
            assert failure(await world.result("u1"))[0] == "Restarted"
            world.task("u2", {"lead": "second"})
            assert (await world.result("u2"))["outcome"] == "Succeeded"
    assert (agent.messages, len(agent.cancelled)) == (["u1", "u2"], 1)


def _marker(folder: Path) -> str:
    path = folder / "marker"
    return path.read_text() if path.exists() else '"id": ""'


async def test_an_image_whose_server_never_answers_is_told_once(tmp_path: Path) -> None:
    bounds = replace(QUICK, ready_seconds=0.1)
    async with cluster(tmp_path) as world, world.helper(1, bounds=bounds):
        world.task("u1", {})
        reason, message = failure(await world.result("u1"))
    assert reason == "AgentUnreachable"
    assert "no agent card at /.well-known/agent-card.json in 0.1 seconds" in message


async def test_a_server_that_starts_late_is_waited_for(tmp_path: Path) -> None:
    done: JsonObject = {"result": {"message": {"parts": [{"data": {"ok": True}}]}}}
    server = ByHand([done], card=None)
    async with server.served() as port, cluster(tmp_path) as world, world.helper(port):
        world.task("u1", {})
        await asyncio.sleep(0.1)
        server.card = {"name": "n", "protocolVersion": "0.3.0"}
        assert (await world.result("u1"))["output"] == {"ok": True}
    assert server.methods == ["message/send"]


def a_task(state: str, **more: object) -> JsonObject:
    return {"result": {"task": {"id": "a1", "status": {"state": state}, **more}}}  # type: ignore[dict-item] # the tests pass JSON


WORKING = a_task("TASK_STATE_WORKING")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([{"error": {"code": -32000, "message": "no"}}], ("AgentRefused", "refuses: no")),
        ([PlainTextResponse("oops", 500)], ("AgentAnswerInvalid", "HTTP 500")),
        ([PlainTextResponse("oops")], ("AgentAnswerInvalid", "no JSON")),
        ([{"result": None}], ("AgentAnswerInvalid", "no A2A")),
        ([a_task("TASK_STATE_COMPLETED")], ("OutputInvalid", "without any output")),
        ([a_task("TASK_STATE_REJECTED")], ("AgentFailed", "as rejected")),
        ([WORKING, {"error": {"code": -32001, "message": "unknown"}}], ("AgentLost", "unknown")),
        ([WORKING, {"result": []}], ("AgentAnswerInvalid", "no A2A")),
    ],
)
async def test_whatever_a_server_says_the_task_ends_with_a_reason(
    tmp_path: Path, answers: list[JsonObject], expected: tuple[str, str]
) -> None:
    server = ByHand([*answers])
    async with server.served() as port, cluster(tmp_path) as world, world.helper(port):
        world.task("u1", {})
        reason, message = failure(await world.result("u1"))
    assert reason == expected[0]
    assert expected[1] in message


async def test_a_server_that_speaks_the_other_version_only_is_spoken_to_in_that(tmp_path: Path) -> None:
    unknown: JsonObject = {"error": {"code": -32601, "message": "Method not found"}}
    done: JsonObject = {"result": {"kind": "message", "parts": [{"kind": "text", "text": "hello"}]}}
    server = ByHand([unknown, done])
    async with server.served() as port, cluster(tmp_path) as world, world.helper(port):
        world.task("u1", {})
        assert (await world.result("u1"))["output"] == {"text": "hello"}
    assert server.methods == ["SendMessage", "message/send"]


async def test_attack_28_the_server_is_where_the_agent_says_and_not_where_its_card_leads(
    tmp_path: Path,
) -> None:
    done: JsonObject = {"result": {"message": {"parts": [{"data": {"ok": True}}]}}}
    elsewhere = ByHand([done])
    async with elsewhere.served() as other:
        url = f"http://127.0.0.1:{other}/"
        interface: JsonObject = {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
        server = ByHand([done], card={"name": "n", "url": url, "supportedInterfaces": [interface]})
        async with server.served() as port, cluster(tmp_path) as world, world.helper(port):
            world.task("u1", {})
            assert (await world.result("u1"))["output"] == {"ok": True}
    assert (server.methods, elsewhere.methods) == (["SendMessage"], [])


async def test_a_server_that_goes_away_is_asked_again_for_a_while_and_then_told(tmp_path: Path) -> None:
    async def work(_: JsonObject, __: TaskUpdater) -> None:
        await never()

    async with cluster(tmp_path) as world:
        async with official(work) as (port, agent):
            helper = world.helper(port)
            await helper.__aenter__()
            world.task("u1", {})
            while not agent.given:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        reason, message = failure(await world.result("u1"))
        await helper.__aexit__(None, None, None)
    assert (reason, "went away" in message) == ("AgentUnreachable", True)


async def test_what_came_of_a_task_is_handed_in_once_the_gateway_can_keep_it(tmp_path: Path) -> None:
    async with official(scored) as (port, _), cluster(tmp_path) as world, world.helper(port):
        world.api.refuses_statuses = True
        world.task("u1", {"lead": "ada"})
        while not world.api.refused:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        world.api.refuses_statuses = False
        assert (await world.result("u1"))["outcome"] == "Succeeded"


async def test_a_helper_that_can_hand_over_no_task_any_more_ends_so_that_it_is_started_again(
    tmp_path: Path,
) -> None:
    async with official(scored) as (port, _), cluster(tmp_path) as world:
        # No file can have such a name: it stands for any defect.
        settings = replace(world.helper_settings(port), marker=Path("\0"))
        world.task("u1", {"lead": "acme"})
        async with asyncio.timeout(20):
            assert await run_helper(settings, asyncio.Event()) is ExitCode.DEFECT
