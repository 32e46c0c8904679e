"""How the operator copes with many Agents: from nothing, after a restart, at rest, under edits, and when its leader dies.

Everything runs on one machine, the API server and its store too: of the times here a good part is theirs.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aos.kube.client import ApiClient
from aos.kube.objects import metadata_of, number
from aos.kube.resources import AGENTS
from aos.reconcile.admission.policies import admission_policies
from aos.reconcile.approval import REPORT_LAG_SECONDS
from hack.cluster.handle import Handle
from tests.bench.cluster import control_plane
from tests.bench.operator_process import (
    ACCOUNT,
    GATEWAY_ACCOUNT,
    HOME,
    LEADER,
    QUEUED,
    RECONCILES,
    WRITES,
    OperatorProcess,
    operator,
    operator_kubeconfig,
)
from tests.bench.operator_requests import approve_all, ask, until_all
from tests.bench.operator_world import (
    AgentName,
    Observer,
    agent_names,
    agent_spec,
    create_agents,
    observing,
    resource_versions,
)
from tests.bench.table import show

POLL_SECONDS = 0.1
WAIT_SECONDS = 600.0
EDIT_SECONDS = 10


@dataclass(frozen=True)
class Options:
    """How much is measured."""

    agents: int
    requests: int
    edits_per_second: int
    rest_seconds: int


@dataclass(frozen=True)
class Bench:
    """What the phases share."""

    client: ApiClient
    observer: Observer
    names: list[AgentName]
    start: Callable[[str], contextlib.AbstractContextManager[OperatorProcess]]


def main(arguments: Sequence[str] = ()) -> None:
    """Print the tables."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="aos-bench-") as made:
        folder = Path(made)
        with control_plane(folder / "cluster") as cluster:
            install(cluster)
            asyncio.run(_measure(cluster, folder, options))


def _options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.bench operator")
    parser.add_argument("--agents", type=int, default=500, help="Agents, a hundred to a namespace")
    parser.add_argument("--requests", type=int, default=1000, help="requests for approval that wait")
    parser.add_argument("--edits", type=int, default=50, help="edits in each second")
    parser.add_argument("--rest", type=int, default=20, help="seconds in which nothing may be written")
    given = parser.parse_args(arguments)
    return Options(given.agents, given.requests, given.edits, given.rest)


def install(cluster: Handle) -> None:
    """Create the operator's namespace, and the admission policies that its chart brings."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}}
    for item in (namespace, *admission_policies(ACCOUNT, GATEWAY_ACCOUNT)):
        done = cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(item))
        if not done.ok:
            raise RuntimeError(done.stderr)


async def _measure(cluster: Handle, folder: Path, options: Options) -> None:
    kubeconfig = operator_kubeconfig(cluster, folder)

    @contextlib.contextmanager
    def start(name: str) -> Iterator[OperatorProcess]:
        with operator(name, kubeconfig, folder) as started:
            yield started

    async with await ApiClient.connect(cluster.kubeconfig) as client:
        names = agent_names(options.agents)
        await create_agents(client, names)
        async with observing(client) as observer:
            bench = Bench(client, observer, names, start)
            await _from_nothing(bench)
            with start("restarted") as restarted:
                await _restarted(bench, restarted)
                await _at_rest(bench, restarted, options.rest_seconds)
                await _with_requests(
                    bench, restarted, lambda: ask(cluster, client, names, folder, options.requests), options
                )
                await _under_edits(bench, restarted, options.edits_per_second)
                await _failover(bench, restarted)


async def _from_nothing(bench: Bench) -> None:
    count = len(bench.names)
    with bench.start("first") as process:
        await bench.observer.until(lambda: bench.observer.settled() > 0, process.program.check)
        first = time.perf_counter()
        await bench.observer.until(lambda: bench.observer.settled() == count, process.program.check)
        done = time.perf_counter()
        reconciles = await _metric(process, RECONCILES)
        writes = await _metric(process, WRITES)
        show(
            f"operator: {count} new Agents, from the start of the process",
            (
                "first settled s",
                "all settled s",
                "reconciles/s",
                "API writes/s",
                "writes/agent",
                "CPU s",
                "MiB",
            ),
            [
                [
                    f"{first - process.started_at:.1f}",
                    f"{done - process.started_at:.1f}",
                    f"{reconciles / (done - first):.0f}",
                    f"{writes / (done - first):.0f}",
                    f"{writes / count:.1f}",
                    f"{process.program.cpu_seconds():.1f}",
                    _resident(process),
                ]
            ],
        )
        await _until_idle(process, count)


async def _restarted(bench: Bench, process: OperatorProcess) -> None:
    count = len(bench.names)
    before = await resource_versions(bench.client)
    await _until(process, lambda: process.metric(LEADER) > 0)
    leading = time.perf_counter()
    await _until_idle(process, count)
    done = time.perf_counter()
    reconciles = await _metric(process, RECONCILES)
    changed = _changes(before, await resource_versions(bench.client))
    show(
        f"operator: restarted with {count} Agents that need nothing, from the start of the process",
        ("leads s", "all seen s", "reconciles", "reconciles/s", "objects written", "CPU s", "MiB"),
        [
            [
                f"{leading - process.started_at:.1f}",
                f"{done - process.started_at:.1f}",
                f"{reconciles:.0f}",
                f"{reconciles / (done - leading):.0f}",
                str(changed),
                f"{process.program.cpu_seconds():.1f}",
                _resident(process),
            ]
        ],
    )


async def _at_rest(bench: Bench, process: OperatorProcess, seconds: int) -> None:
    before, written = await resource_versions(bench.client), await _metric(process, WRITES)
    cpu = process.program.cpu_seconds()
    await asyncio.sleep(seconds)
    spent = process.program.cpu_seconds() - cpu
    changed = _changes(before, await resource_versions(bench.client))
    show(
        f"operator: {seconds} s at rest",
        ("objects written", "API writes counted", "CPU ms/s"),
        [
            [
                str(changed),
                f"{await _metric(process, WRITES) - written:.0f}",
                f"{spent / seconds * 1e3:.0f}",
            ]
        ],
    )


async def _with_requests(
    bench: Bench, process: OperatorProcess, asking: Callable[[], Awaitable[None]], options: Options
) -> None:
    count, check = options.requests, process.program.check
    before, began = _resident(process), time.perf_counter()
    await asking()
    await until_all(bench.client, count, lambda status: number(status, "need") > 0, check)
    seen = time.perf_counter() - began
    # Requests are looked at once more when they are a minute old, and from then on when somebody does something.
    await asyncio.sleep(REPORT_LAG_SECONDS + 1)
    await _until(process, lambda: process.metric(QUEUED) == 0)
    pending = _resident(process)
    written, cpu = await _metric(process, WRITES), process.program.cpu_seconds()
    await asyncio.sleep(options.rest_seconds)
    at_rest = await _metric(process, WRITES) - written
    spent = process.program.cpu_seconds() - cpu
    decided_at = time.perf_counter()
    await approve_all(bench.client)
    await until_all(bench.client, count, lambda status: status.get("state") == "Approved", check)
    approved = time.perf_counter() - decided_at
    await until_all(bench.client, count, lambda status: status.get("tallied") is True, check)
    show(
        f"operator: {count} requests for approval, made, at rest for {options.rest_seconds} s, and approved by one person",
        (
            "made and seen s",
            "writes at rest",
            "CPU ms/s",
            "approved s",
            "counted s",
            "MiB before",
            "pending",
            "after",
        ),
        [
            [
                f"{seen:.1f}",
                f"{at_rest:.0f}",
                f"{spent / options.rest_seconds * 1e3:.0f}",
                f"{approved:.1f}",
                f"{time.perf_counter() - decided_at:.1f}",
                before,
                pending,
                _resident(process),
            ]
        ],
    )


async def _under_edits(bench: Bench, process: OperatorProcess, per_second: int) -> None:
    observer, edits = bench.observer, per_second * EDIT_SECONDS
    observer.delays.clear()
    reconciled, written = await _metric(process, RECONCILES), await _metric(process, WRITES)
    cpu = process.program.cpu_seconds()
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for index in range(edits):
            await asyncio.sleep(max(0.0, began + index / per_second - time.perf_counter()))
            group.create_task(_edit(bench, bench.names[index % len(bench.names)], f"Edit {index}."))
    sent = time.perf_counter() - began
    await _until_settled(bench, process)
    settled = time.perf_counter() - began
    delays = sorted(observer.delays)
    show(
        f"operator: {edits} edits, from each edit's event to the status about it",
        (
            "edits/s",
            "p50 ms",
            "p99 ms",
            "most ms",
            "writes/edit",
            "reconciles/edit",
            "CPU ms/edit",
            "settled after s",
        ),
        [
            [
                f"{edits / sent:.0f}",
                f"{statistics.median(delays) * 1e3:.0f}",
                f"{delays[int(len(delays) * 0.99) - 1] * 1e3:.0f}",
                f"{delays[-1] * 1e3:.0f}",
                f"{(await _metric(process, WRITES) - written) / edits:.1f}",
                f"{(await _metric(process, RECONCILES) - reconciled) / edits:.1f}",
                f"{(process.program.cpu_seconds() - cpu) / edits * 1e3:.1f}",
                f"{settled:.1f}",
            ]
        ],
    )


async def _failover(bench: Bench, leader: OperatorProcess) -> None:
    with bench.start("standby") as standby:
        await _until(standby, lambda: _is_ready(standby))
        leader.program.process.kill()
        killed = time.perf_counter()
        await _edit(bench, bench.names[0], "After the leader's end.")
        await _until_settled(bench, standby)
        show(
            "operator: the leader is killed with -9 while another stands by",
            ("an edit is answered after s",),
            [[f"{time.perf_counter() - killed:.1f}"]],
        )


async def _edit(bench: Bench, name: AgentName, instructions: str) -> None:
    edited = await bench.client.merge_patch(
        AGENTS, name.name, {"spec": agent_spec(instructions)}, namespace=name.namespace
    )
    # The watch may be behind the answer: until it has told of the edit, nothing is settled.
    bench.observer.expect(name, number(metadata_of(edited), "generation"))


async def _until_settled(bench: Bench, process: OperatorProcess) -> None:
    await bench.observer.until(lambda: bench.observer.settled() == len(bench.names), process.program.check)


def _is_ready(process: OperatorProcess) -> bool:
    # A replica that stands by shows this metric, as 0, once its caches can be read.
    return process.metric("aos_operator_objects", 'kind="Agent"') > 0


async def _metric(process: OperatorProcess, name: str) -> float:
    return await asyncio.to_thread(process.metric, name)


async def _until_idle(process: OperatorProcess, agents: int) -> None:
    """Wait until every agent was reconciled and nothing waits."""
    await _until(process, lambda: process.metric(RECONCILES) >= agents and process.metric(QUEUED) == 0)


async def _until(process: OperatorProcess, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await asyncio.to_thread(holds):
            process.program.check()
            await asyncio.sleep(POLL_SECONDS)


def _changes(before: dict[str, str], after: dict[str, str]) -> int:
    """Return how many objects came, changed or went."""
    return sum(before.get(uid) != after.get(uid) for uid in {*before, *after})


def _resident(process: OperatorProcess) -> str:
    return f"{process.program.resident_bytes() / 2**20:.0f}"


if __name__ == "__main__":
    main()
