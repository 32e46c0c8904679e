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

from aos.kube.client import ApiClient
from aos.kube.objects import child
from aos.kube.resources import WORKFLOW_RUNS
from hack.cluster.handle import Handle
from hack.ports import free_port
from tests.bench.cluster import control_plane
from tests.bench.operator import install
from tests.bench.operator_process import (
    GATEWAY_ACCOUNT,
    HOME,
    QUEUED,
    WRITES,
    OperatorProcess,
    operator,
    operator_kubeconfig,
)
from tests.bench.table import show
from tests.bench.workflows_world import (
    FAN,
    NAMESPACE,
    Answerer,
    answering,
    create_world,
    start_fan,
    start_runs,
    steps_of,
    until_ended,
    until_ready,
)
from tests.cluster.operator.fake_gateway import TOKEN, FakeGateway, own_address

MIB = 1024 * 1024
REST_SECONDS = 20


@dataclass(frozen=True)
class Options:
    """How much is measured."""

    runs: int
    steps: int
    items: int


def main(arguments: Sequence[str] = ()) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench workflows")
    parser.add_argument("--runs", type=int, default=500, help="runs, all started at once")
    parser.add_argument("--steps", type=int, default=5, help="steps of each, one after the other")
    parser.add_argument("--items", type=int, default=1000, help="items of one run that fans out")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="aos-bench-") as made:
        folder = Path(made)
        with control_plane(folder / "cluster") as cluster:
            install(cluster)
            asyncio.run(_measure(cluster, folder, Options(given.runs, given.steps, given.items)))


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
            async with _enforced(client, port), answering(gateway, steps) as answerer:
                await until_ready(client, process.program.check)
                await _run(client, process, answerer, options)
                await _fan_out(client, process, options)
                await _at_rest(process)


@contextlib.asynccontextmanager
async def _enforced(client: ApiClient, port: int) -> AsyncIterator[None]:
    """Have a gateway replica say for the time of a block that it enforces what it should."""
    serving = asyncio.create_task(FakeGateway(client, HOME, own_address(), port).run())
    try:
        yield
    finally:
        serving.cancel()
        await asyncio.wait((serving,))


async def _run(client: ApiClient, process: OperatorProcess, answerer: Answerer, options: Options) -> None:
    before, written = process.program.resident_bytes(), await _metric(process, WRITES)
    cpu, began = process.program.cpu_seconds(), time.perf_counter()
    await start_runs(client, options.runs)
    await until_ended(client, options.runs, process.program.check)
    took = time.perf_counter() - began
    count = options.runs * options.steps
    delays = sorted(answerer.delays)
    if len(answerer.seen) != count:
        raise RuntimeError(f"{len(answerer.seen)} Tasks were made for {count} steps")
    show(
        f"workflows: {options.runs} runs of {options.steps} steps, all started at once",
        ("steps/s", "API writes/step", "CPU ms/step", "p50 ms", "p99 ms", "MiB before", "MiB after"),
        [
            [
                f"{count / took:.0f}",
                f"{(await _metric(process, WRITES) - written) / count:.1f}",
                f"{(process.program.cpu_seconds() - cpu) / count * 1e3:.1f}",
                f"{statistics.median(delays) * 1e3:.0f}",
                f"{delays[int(len(delays) * 0.99) - 1] * 1e3:.0f}",
                f"{before / MIB:.0f}",
                f"{process.program.resident_bytes() / MIB:.0f}",
            ]
        ],
    )
    print("\n  p50 and p99: from one step's result to the Task of the step after it")


async def _fan_out(client: ApiClient, process: OperatorProcess, options: Options) -> None:
    written, cpu = await _metric(process, WRITES), process.program.cpu_seconds()
    began = time.perf_counter()
    await start_fan(client, options.items)
    await until_ended(client, options.runs + 1, process.program.check)
    took = time.perf_counter() - began
    run = await client.get(WORKFLOW_RUNS, FAN, NAMESPACE)
    count = child(child(run, "status"), "output").get("count")
    if count != options.items:
        raise RuntimeError(f"the run says that {count} of {options.items} items are done")
    show(
        f"workflows: one run that does a step for {options.items} items, at most 100 at once",
        ("items/s", "API writes/item", "CPU ms/item", "the run's bytes", "MiB after"),
        [
            [
                f"{options.items / took:.0f}",
                f"{(await _metric(process, WRITES) - written) / options.items:.1f}",
                f"{(process.program.cpu_seconds() - cpu) / options.items * 1e3:.1f}",
                f"{len(json.dumps(run))}",
                f"{process.program.resident_bytes() / MIB:.0f}",
            ]
        ],
    )


async def _at_rest(process: OperatorProcess) -> None:
    while await _metric(process, QUEUED):
        process.program.check()
        await asyncio.sleep(1)
    written = await _metric(process, WRITES)
    cpu = process.program.cpu_seconds()
    await asyncio.sleep(REST_SECONDS)
    show(
        f"workflows: {REST_SECONDS} s at rest, all runs ended",
        ("API writes", "CPU ms/s"),
        [
            [
                f"{await _metric(process, WRITES) - written:.0f}",
                f"{(process.program.cpu_seconds() - cpu) / REST_SECONDS * 1e3:.0f}",
            ]
        ],
    )


async def _metric(process: OperatorProcess, name: str) -> float:
    return await asyncio.to_thread(process.metric, name)
