"""How the operator copes with many runs of Workflows whose agents answer at once: what is left is its own work, and the API server's."""

import argparse
import asyncio
import contextlib
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aos.kube.client import ApiClient, Selection
from aos.kube.objects import child
from aos.kube.resources import EVENTS, WORKFLOW_RUNS
from hack.cluster.handle import Handle
from hack.cluster.process import Table
from hack.ports import free_port
from tests.bench.cluster import control_plane
from tests.bench.operator import install
from tests.bench.operator_process import (
    GATEWAY_ACCOUNT,
    HOME,
    QUEUED,
    RECONCILES,
    WRITES,
    OperatorProcess,
    operator,
    operator_kubeconfig,
)
from tests.bench.processes import cpu_seconds_of
from tests.bench.table import show
from tests.bench.workflows_world import (
    FAN,
    NAMESPACE,
    WAIT_SECONDS,
    Answerer,
    answering,
    create_world,
    start_fan,
    start_runs,
    steps_of,
    until_ready,
)
from tests.cluster.operator.fake_gateway import TOKEN, FakeGateway, own_address

MIB = 1024 * 1024
REST_SECONDS = 20
RUNS = "aos_operator_runs"
OBJECTS = "aos_operator_objects"
_POLL_SECONDS = 0.5
_REPORT_SECONDS = 1.0
"""How often the gateway lists the agents while the operator is measured; nothing of them changes then."""


@dataclass(frozen=True)
class Options:
    """How much is measured."""

    runs: int
    steps: int
    items: int
    rounds: int


@dataclass(frozen=True)
class _Bench:
    """What is measured: an operator, and the API server (pids of it and of its store) that it works with."""

    client: ApiClient
    process: OperatorProcess
    api_server: tuple[int, ...]

    async def metric(self, name: str, label: str = "") -> float:
        """Return the sum of one of the operator's metrics."""
        return await asyncio.to_thread(self.process.metric, name, label)

    async def until_ended(self, count: int) -> None:
        """Wait until so many runs have succeeded. The operator is asked: lists of all runs would be most of what is measured.

        Raises:
            RuntimeError: one failed.
            TimeoutError: they do not end in time.
        """
        async with asyncio.timeout(WAIT_SECONDS):
            while await self.metric(RUNS, 'state="Succeeded"') < count:
                self.process.program.check()
                if await self.metric(RUNS, 'state="Failed"'):
                    raise RuntimeError("a run failed: `kubectl get runs` in the bench's cluster tells why")
                await asyncio.sleep(_POLL_SECONDS)


def main(arguments: Sequence[str] = ()) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench workflows")
    parser.add_argument("--runs", type=int, default=500, help="runs, all started at once")
    parser.add_argument("--steps", type=int, default=5, help="steps of each, one after the other")
    parser.add_argument("--items", type=int, default=1000, help="items of one run that fans out")
    parser.add_argument(
        "--rounds",
        type=int,
        default=0,
        help="do the runs so often, deleted each time, and look at memory alone",
    )
    given = parser.parse_args(arguments)
    options = Options(given.runs, given.steps, given.items, given.rounds)
    with tempfile.TemporaryDirectory(prefix="aos-bench-") as made:
        folder = Path(made)
        with control_plane(folder / "cluster") as cluster:
            install(cluster)
            asyncio.run(_measure(cluster, folder, options))


async def _measure(cluster: Handle, folder: Path, options: Options) -> None:
    steps = steps_of(options.steps)
    gateway_kubeconfig = folder / "gateway.kubeconfig"
    shutil.copyfile(cluster.user(GATEWAY_ACCOUNT, "system:masters"), gateway_kubeconfig)
    port = free_port()
    environment = {"AOS_GATEWAY_ADMIN_PORT": str(port)}
    async with (
        await ApiClient.connect(cluster.kubeconfig) as client,
        await ApiClient.connect(gateway_kubeconfig) as gateway,
    ):
        await create_world(client, own_address(), steps)
        with operator(
            "operator", operator_kubeconfig(cluster, folder), folder, TOKEN, environment
        ) as process:
            async with _enforced(client, port) as enforcing, answering(gateway, steps) as answerer:
                await until_ready(client, process.program.check)
                # From here on nothing changes that it has to look out for.
                enforcing.poll_seconds = _REPORT_SECONDS
                bench = _Bench(client, process, _api_server(cluster))
                if options.rounds:
                    await _round_by_round(bench, options)
                    return
                await _run(bench, answerer, options)
                await _fan_out(bench, options)
                await _at_rest(bench)


def _api_server(cluster: Handle) -> tuple[int, ...]:
    processes = Table(cluster.kubeconfig.parent / "processes.json").alive()
    return tuple(processes[name].pid for name in ("kube-apiserver", "etcd"))


@contextlib.asynccontextmanager
async def _enforced(client: ApiClient, port: int) -> AsyncIterator[FakeGateway]:
    """Have a gateway replica say for the time of a block that it enforces what it should."""
    gateway = FakeGateway(client, HOME, own_address(), port)
    serving = asyncio.create_task(gateway.run())
    try:
        yield gateway
    finally:
        serving.cancel()
        await asyncio.wait((serving,))


@dataclass(frozen=True)
class _Spent:
    """What was spent up to a moment; processor times in seconds."""

    moment: float
    operator: float
    api_server: float
    writes: float
    events: int
    reconciles: float

    @classmethod
    async def now(cls, bench: _Bench) -> "_Spent":
        """Look at the processes; events are written by and by, so that the last ones may be missing."""
        bench.process.program.check()
        events = [item async for item in bench.client.list(EVENTS, Selection(namespace=NAMESPACE))]
        return cls(
            moment=time.perf_counter(),
            operator=bench.process.program.cpu_seconds(),
            api_server=sum(cpu_seconds_of(pid) for pid in bench.api_server),
            writes=await bench.metric(WRITES),
            events=len(events),
            reconciles=await bench.metric(RECONCILES),
        )

    def each(self, later: "_Spent", count: int) -> tuple[str, ...]:
        """Return what was spent until ``later`` for each of so many things that were done, as `_COLUMNS` say."""
        return (
            f"{count / (later.moment - self.moment):.1f}",
            f"{(later.writes - self.writes) / count:.1f}",
            f"{(later.events - self.events) / count:.1f}",
            f"{(later.reconciles - self.reconciles) / count:.1f}",
            f"{(later.operator - self.operator) / count * 1e3:.1f}",
            f"{(later.api_server - self.api_server) / count * 1e3:.1f}",
        )


_COLUMNS = ("a second", "API writes", "events", "reconciles", "operator CPU ms", "API server CPU ms")


async def _run(bench: _Bench, answerer: Answerer, options: Options) -> None:
    before, resident = await _Spent.now(bench), bench.process.program.resident_bytes()
    await start_runs(bench.client, options.runs)
    await bench.until_ended(options.runs)
    after = await _Spent.now(bench)
    count = options.runs * options.steps
    delays = sorted(answerer.delays)
    if len(answerer.seen) != count:
        raise RuntimeError(f"{len(answerer.seen)} Tasks were made for {count} steps")
    show(
        f"workflows: {options.runs} runs of {options.steps} steps, all started at once; for each step",
        (*_COLUMNS, "p50 ms", "p99 ms", "MiB before", "MiB after"),
        [
            [
                *before.each(after, count),
                f"{statistics.median(delays) * 1e3:.0f}",
                f"{delays[int(len(delays) * 0.99) - 1] * 1e3:.0f}",
                f"{resident / MIB:.0f}",
                f"{bench.process.program.resident_bytes() / MIB:.0f}",
            ]
        ],
    )
    print("\n  p50 and p99: from one step's result to the Task of the step after it")


async def _round_by_round(bench: _Bench, options: Options) -> None:
    """Show what runs leave behind in the operator once they are deleted, as history limits delete them."""
    program, rows = bench.process.program, []
    for number in range(1, options.rounds + 1):
        await start_runs(bench.client, options.runs)
        await bench.until_ended(options.runs)
        ended = program.resident_bytes()
        for index in range(options.runs):
            await bench.client.delete(WORKFLOW_RUNS, f"run-{index}", namespace=NAMESPACE)
        while await bench.metric(OBJECTS, 'kind="Task"') or await bench.metric(OBJECTS, 'kind="WorkflowRun"'):
            program.check()
            await asyncio.sleep(_POLL_SECONDS)
        rows.append([str(number), f"{ended / MIB:.1f}", f"{program.resident_bytes() / MIB:.1f}"])
        print(*rows[-1], flush=True)
    title = f"workflows: the operator's memory over rounds of {options.runs} runs of {options.steps} steps"
    show(title, ("round", "MiB, all ended", "MiB, all deleted"), rows)


async def _fan_out(bench: _Bench, options: Options) -> None:
    before = await _Spent.now(bench)
    await start_fan(bench.client, options.items)
    await bench.until_ended(options.runs + 1)
    after = await _Spent.now(bench)
    run = await bench.client.get(WORKFLOW_RUNS, FAN, NAMESPACE)
    count = child(child(run, "status"), "output").get("count")
    if count != options.items:
        raise RuntimeError(f"the run says that {count} of {options.items} items are done")
    show(
        f"workflows: one run that does a step for {options.items} items, at most 100 at once; for each item",
        (*_COLUMNS, "the run's bytes", "MiB after"),
        [
            [
                *before.each(after, options.items),
                f"{len(json.dumps(run))}",
                f"{bench.process.program.resident_bytes() / MIB:.0f}",
            ]
        ],
    )


async def _at_rest(bench: _Bench) -> None:
    while await bench.metric(QUEUED):
        bench.process.program.check()
        await asyncio.sleep(1)
    written, cpu = await bench.metric(WRITES), bench.process.program.cpu_seconds()
    await asyncio.sleep(REST_SECONDS)
    show(
        f"workflows: {REST_SECONDS} s at rest, all runs ended",
        ("API writes", "CPU ms/s"),
        [
            [
                f"{await bench.metric(WRITES) - written:.0f}",
                f"{(bench.process.program.cpu_seconds() - cpu) / REST_SECONDS * 1e3:.0f}",
            ]
        ],
    )
