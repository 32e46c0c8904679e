"""Operators as processes: one that is killed, one that stands by, one that is told to stop."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aos.controllers.settings import ControllerSettings
from aos.kube.client import Selection
from aos.kube.errors import ApiError
from aos.kube.objects import child, children, metadata_of, text, uid_of
from aos.kube.resources import LEASES, PODS, TASKS
from aos.kube.timestamps import micro_time
from aos.kube.watching import WatchType
from aos.model.base import JsonObject
from hack.ports import free_port
from tests.cluster.operator.fake_gateway import FakeGateway
from tests.cluster.operator.rig import HOME, Rig

ROOT = Path(__file__).resolve().parents[3]
TASK_COUNT = 50


@asynccontextmanager
async def process(
    settings: ControllerSettings, *, is_heard: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run an operator as a process; it is killed at the end if it still runs."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "operator"),
        **{
            ControllerSettings.variable_of(name): str(value)
            for name, value in settings.model_dump().items()
            if value is not None
        },
    }
    one = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "aos.controllers",
        env=environment,
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE if is_heard else None,
    )
    try:
        yield one
    finally:
        with contextlib.suppress(ProcessLookupError):
            one.kill()
        await one.wait()


class Kubelet:
    """Runs every agent pod as a kubelet and a gateway would: only a recorded pod may hand in a result.

    Attributes:
        runs: for each Task, how many pods handed in a result.
        pods: for each Task, the uids of all pods that were ever made for it.
    """

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.runs: Counter[str] = Counter()
        self.pods: dict[str, set[str]] = {}

    async def run(self) -> None:
        """Watch pods until cancelled."""
        selection = Selection(namespace=self._rig.namespace)
        async with contextlib.AsyncExitStack() as stack:
            group = await stack.enter_async_context(asyncio.TaskGroup())
            version = ""
            async for page in self._rig.admin.list_pages(PODS, selection):
                version = page.resource_version
            events = self._rig.admin.watch(PODS, selection, resource_version=version)
            await stack.enter_async_context(contextlib.aclosing(events))
            async for event in events:
                if event.type is WatchType.ADDED:
                    group.create_task(self._serve(event.object))

    async def _serve(self, pod: JsonObject) -> None:
        task = text(child(metadata_of(pod), "labels"), "aos.dev/task")
        self.pods.setdefault(task, set()).add(uid_of(pod))
        while True:
            record = child(child(await self._rig.get(TASKS, task), "status"), "pod")
            if text(record, "uid"):
                break
            await asyncio.sleep(0.05)
        if text(record, "uid") != uid_of(pod):
            return
        self.runs[task] += 1
        await self._rig.hand_in(task)
        with contextlib.suppress(ApiError):
            await self._rig.set_pod(pod, {"phase": "Succeeded"})


async def test_killed_in_the_middle_of_fifty_tasks_all_end_and_none_twice(
    rig: Rig, gateway: FakeGateway
) -> None:
    assert not gateway.paused
    kubelet = Kubelet(rig)
    serving = asyncio.create_task(kubelet.run())
    await rig.sales()

    async def ended(least: int) -> bool:
        done = 0
        for task in await rig.all(TASKS):
            conditions = children(child(task, "status"), "conditions")
            done += any(item["type"] == "Succeeded" and item["status"] == "True" for item in conditions)
        return done >= least

    async def begun() -> bool:
        return await ended(5)

    async def all_ended() -> bool:
        return await ended(TASK_COUNT)

    async with process(rig.settings) as first:
        await rig.ready_agent()
        for number in range(TASK_COUNT):
            await rig.task(f"t{number}")
        await rig.eventually(begun)
        os.kill(first.pid, signal.SIGKILL)
        await first.wait()
    assert not await ended(TASK_COUNT)
    async with process(rig.settings):
        await rig.eventually(all_ended)
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    assert set(kubelet.runs.values()) == {1}
    assert len(kubelet.runs) == TASK_COUNT
    assert {len(uids) for uids in kubelet.pods.values()} == {1}


async def test_a_standby_takes_over_when_the_leader_stops(rig: Rig, gateway: FakeGateway) -> None:
    assert not gateway.paused
    other = Rig(
        rig.cluster,
        rig.admin,
        rig.operator,
        rig.gateway,
        rig.settings.model_copy(update={"health_port": free_port()}),
        rig.namespace,
    )
    async with process(rig.settings) as first:
        await rig.eventually(rig.is_leading)
        async with process(other.settings):
            await other.eventually(other.is_ready)
            assert not await other.is_leading()
            await rig.sales()
            await rig.ready_agent()
            first.send_signal(signal.SIGTERM)
            assert await first.wait() == 0
            await other.eventually(other.is_leading)
            await rig.task("t1")
            assert await rig.pod_of("t1")
            await other.settled()
            assert await other.metric("aos_operator_reconciles_total") > 0


async def test_a_stopped_operator_gives_the_lease_back(rig: Rig, gateway: FakeGateway) -> None:
    assert not gateway.paused
    async with process(rig.settings) as one:
        await rig.eventually(rig.is_leading)
        one.send_signal(signal.SIGTERM)
        assert await one.wait() == 0
    lease = await rig.admin.get(LEASES, "aos-operator", HOME)
    assert child(lease, "spec").get("holderIdentity", "") == ""


async def test_one_that_is_killed_and_started_again_in_its_pod_has_its_lease_still(
    rig: Rig, gateway: FakeGateway
) -> None:
    assert not gateway.paused

    async def lease() -> JsonObject:
        return child(await rig.admin.get(LEASES, "aos-operator", HOME), "spec")

    settings = rig.settings.model_copy(update={"pod_uid": "7c9e6679-7425-40de-944b-e07fc1f90ae7"})
    async with process(settings) as first:
        await rig.eventually(rig.is_leading)
        before = await lease()
        os.kill(first.pid, signal.SIGKILL)
        await first.wait()

    async def renewed() -> bool:
        return (await lease())["renewTime"] != before["renewTime"]

    async with process(settings):
        await rig.eventually(renewed)
        kept = ("holderIdentity", "acquireTime", "leaseTransitions")
        after = await lease()
        assert [after[name] for name in kept] == [before[name] for name in kept]


async def test_an_operator_whose_lease_is_anothers_ends_and_says_so(rig: Rig, gateway: FakeGateway) -> None:
    assert not gateway.paused
    async with process(rig.settings, is_heard=True) as one:
        await rig.eventually(rig.is_leading)
        taken: JsonObject = {"spec": {"holderIdentity": "another", "renewTime": micro_time()}}
        await rig.admin.merge_patch(LEASES, "aos-operator", taken, namespace=HOME)
        _, said = await one.communicate()
        assert one.returncode == 1
    assert "the operator ends, and stands by once it is started again" in said.decode()
    assert "its holder is another" in said.decode().splitlines()[-1]


@pytest.mark.parametrize("missing", ["POD_NAMESPACE", "AOS_AGENT_IMAGE"])
async def test_an_operator_without_a_setting_says_which(missing: str) -> None:
    given = {"POD_NAMESPACE": HOME, "AOS_AGENT_IMAGE": "x"}
    environment = {name: value for name, value in given.items() if name != missing}
    one = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "aos.controllers",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "operator"), **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await one.communicate()
    assert one.returncode == 2
    assert missing in said.decode()
