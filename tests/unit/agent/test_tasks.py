import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from aos.agent.main import ExitCode, run_agent
from aos.agent.settings import AgentSettings
from aos.model.base import JsonObject
from aos.model.pod_tasks import PodTasks
from tests.unit.agent.conftest import World
from tests.unit.agent.test_main import GOOD, last_words, scripted


def numbered(uid: str, *turns: JsonObject) -> JsonObject:
    return scripted(*(turns or ({"output": {"summary": uid, "score": 0.5}},)), uid=uid)


def of(world: World, tasks: PodTasks) -> AgentSettings:
    return replace(world.settings, tasks=tasks)


@asynccontextmanager
async def serving(world: World) -> AsyncGenerator[asyncio.Task[int]]:
    """Run a Service, which is told to stop in the end."""
    running = asyncio.create_task(run_agent(of(world, PodTasks.MANY)))
    async with asyncio.timeout(20):
        yield running
        if not running.done():
            os.kill(os.getpid(), signal.SIGTERM)
        assert await running == ExitCode.REPORTED


async def idle(world: World) -> None:
    world.gateway.awaited.clear()
    await world.gateway.awaited.wait()


async def test_a_warm_pod_waits_for_its_task_and_ends_with_it(world: World) -> None:
    world.gateway.queue = []
    bounds = replace(world.settings.bounds, fetch_timeout_seconds=0.01)
    running = asyncio.create_task(run_agent(replace(of(world, PodTasks.LATER), bounds=bounds)))
    await idle(world)
    await idle(world)
    world.gateway.queue += [numbered("u1"), numbered("u2")]
    assert await running == ExitCode.REPORTED
    assert world.gateway.said == ["u1"]
    assert not world.settings.marker.exists()


async def test_a_service_does_one_task_after_the_other_and_each_from_a_fresh_start(world: World) -> None:
    world.gateway.queue = [numbered("u1"), numbered("u2")]
    async with serving(world):
        await idle(world)
        world.gateway.queue.append(numbered("u3"))
        await idle(world)
    summaries = [result["output"]["summary"] for result in world.gateway.results]  # type: ignore[index, call-overload] # as scripted
    assert (world.gateway.said, summaries) == (["u1", "u2", "u3"], ["u1", "u2", "u3"])
    counts = [len(chat["messages"]) for chat in world.gateway.chats]  # type: ignore[arg-type] # a list
    assert counts == [counts[0]] * 3
    assert "u1" not in json.dumps(world.gateway.chats[1])


async def test_a_task_that_fails_is_followed_by_the_next(world: World) -> None:
    world.gateway.queue = [numbered("u1", {"status": 500, "repeat": True}), numbered("u2")]
    async with serving(world):
        await idle(world)
    first, second = world.gateway.results
    assert ("failure" in first, "output" in second) == (True, True)


async def test_a_service_that_is_told_to_stop_ends_its_task_and_takes_no_more(world: World) -> None:
    world.gateway.queue = [numbered("u1", {"sleepSeconds": 0.3, "output": GOOD}), numbered("u2")]
    async with serving(world):
        await world.gateway.asked.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        while world.gateway.said == []:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
    assert world.gateway.said == ["u1"]
    assert world.gateway.results == [{"output": GOOD}]


async def test_a_task_that_came_in_the_moment_of_the_stop_is_still_done(world: World) -> None:
    world.gateway.queue = []
    async with serving(world):
        await idle(world)
        world.gateway.queue.append(numbered("u1"))
    assert world.gateway.said == ["u1"]


async def test_a_task_that_was_begun_before_a_crash_is_not_begun_again(world: World) -> None:
    world.settings.marker.write_text("u1")
    world.gateway.queue = [numbered("u1"), numbered("u2")]
    async with serving(world):
        await idle(world)
    first, second = world.gateway.results
    failure = first["failure"]
    assert isinstance(failure, dict)
    assert (failure["reason"], "output" in second) == ("Restarted", True)
    assert len(world.gateway.chats) == 1
    assert world.settings.marker.read_text() == "u2"


async def test_a_service_outlives_restarts_of_the_gateway(world: World) -> None:
    world.gateway.queue = [numbered("u1")]
    async with serving(world):
        await idle(world)
        world.gateway.not_yet = 5
        await idle(world)
        world.gateway.queue.append(numbered("u2"))
        await idle(world)
    assert world.gateway.said == ["u1", "u2"]


async def test_a_task_whose_end_could_not_be_posted_is_reported_once_the_gateway_is_back(
    world: World,
) -> None:
    world.gateway.queue = [numbered("u1"), numbered("u2")]
    world.gateway.unwilling = 1
    # The pause outlasts the wait: the first attempt is the last one.
    bounds = replace(world.settings.bounds, report_timeout_seconds=0.5, max_retry_pause_seconds=1)
    async with serving(replace(world, settings=replace(world.settings, bounds=bounds))):
        await idle(world)
    first, second = world.gateway.results
    assert ("failure" in first, "output" in second) == (True, True)
    assert world.gateway.said == ["u1", "u2"]


@pytest.mark.parametrize("tasks", [PodTasks.LATER, PodTasks.MANY])
async def test_a_pod_that_may_not_wait_says_why(world: World, tasks: PodTasks) -> None:
    world.gateway.token_file = world.settings.token_file.with_name("others")
    world.gateway.token_file.write_text("others")
    assert await run_agent(of(world, tasks)) == ExitCode.NOT_REPORTED
    assert "TokenInvalid" in last_words(world.settings)
