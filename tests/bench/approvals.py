"""How long an approved call takes to be let through, with many that wait; and, with ``--crash N``, what N deaths leave behind."""

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aos.kube.client import ApiClient
from aos.kube.errors import NotFound
from aos.kube.resources import APPROVAL_REQUESTS
from aos.model.approval_request import RequestState, Verdict
from aos.reconcile.certificates import serving_names
from hack.cluster.pki import Authority
from hack.ports import free_port
from tests.bench import gateway_world as world
from tests.bench.approvals_crash import Crashes
from tests.bench.approvals_people import People, deciding
from tests.bench.approvals_world import POLICY, UPDATES, Agent, Crm, GatewayProcess, agent_at, serving_crm
from tests.bench.cluster import control_plane
from tests.bench.processes import LOOPBACK
from tests.bench.table import show

FILLERS = 24
PROGRESS_ROUNDS = 10
MARK_SECONDS = 120.0
RESERVATION_SECONDS = 60
QUIET_SECONDS = 5.0
MIB = 1024 * 1024


@dataclass(frozen=True)
class Options:
    """How much is measured."""

    pending: int
    calls: int
    crash: int
    rounds: int


@dataclass(frozen=True)
class Bench:
    """Everything that runs."""

    client: ApiClient
    gateway: GatewayProcess
    agent: Agent
    crm: Crm


def main(arguments: Sequence[str] = ()) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench approvals")
    parser.add_argument("--pending", type=int, default=1000, help="calls that wait meanwhile")
    parser.add_argument("--calls", type=int, default=200, help="approved calls that are measured")
    parser.add_argument("--crash", type=int, default=0, help="kill the gateway so often, and measure nothing")
    parser.add_argument(
        "--rounds",
        type=int,
        default=0,
        help="approve so many calls so often, their requests deleted each time",
    )
    given = parser.parse_args(arguments)
    options = Options(given.pending, given.calls, given.crash, given.rounds)
    if options.rounds:
        asyncio.run(_round_by_round(options))
    else:
        asyncio.run(_crash(options) if options.crash else _measure(options))


async def _crash(options: Options) -> None:
    settings = {
        "AOS_RESERVATION_SECONDS": str(RESERVATION_SECONDS),
        "AOS_STORE_SWEEP_SECONDS": "1",
        "AOS_APPROVAL_WAIT_SECONDS": "2",
        # Calls that nobody decides stay.
        "AOS_MAX_PENDING_APPROVALS": "1000",
    }
    async with _started(settings) as bench:
        crashes = Crashes(bench.gateway, bench.agent, bench.crm)
        async with deciding(bench.client, world.TEAM, crashes.choose, crashes.asked) as people:
            for number in range(1, options.crash + 1):
                await crashes.round(people)
                if number % PROGRESS_ROUNDS == 0:
                    tally = crashes.tally
                    print(f"{number} deaths, {len(tally.wrong)} wrong ends, {dict(tally.ends)}", flush=True)
            unmarked = await _unmarked(bench, people)
    tally = crashes.tally
    show(
        f"{tally.calls} calls over {tally.rounds} deaths of the gateway",
        ("how it ended for the agent", "calls"),
        [(name, str(number)) for name, number in sorted(tally.ends.items())],
    )
    show(
        "When it died",
        ("after", "deaths"),
        [(name, str(number)) for name, number in sorted(tally.points.items())],
    )
    for wrong in [
        *tally.wrong,
        *(f"{contact} was made, and its request does not say so" for contact in unmarked),
    ]:
        print(f"WRONG: {wrong}")
    if tally.wrong or unmarked:
        raise SystemExit(1)
    print("\nnone lost, none doubled, none unapproved, and every use is marked")


async def _unmarked(bench: Bench, people: People) -> list[str]:
    """Return contacts that were changed and whose request does not say so, though there was time."""
    until = time.monotonic() + MARK_SECONDS
    while True:
        made = {contact for contact, _ in bench.crm.made}
        left = [
            contact
            for contact in made
            if contact not in people.seen or people.seen[contact].status.use is None
        ]
        if not left or time.monotonic() > until:
            return left
        await asyncio.sleep(0.5)


async def _measure(options: Options) -> None:
    settings = {"AOS_MAX_PENDING_APPROVALS": "1000", "AOS_APPROVAL_WAIT_SECONDS": "5"}
    async with _started(settings) as bench:
        measured = asyncio.Event()

        async def choose(contact: str) -> Verdict | None:
            if not contact.startswith("timed"):
                return None
            await measured.wait()
            return Verdict.APPROVE

        async with deciding(bench.client, world.TEAM, choose) as people:
            memory = [("before", _memory(bench))]
            measured.set()
            alone = await _releases(bench, people, "timed-alone", options.calls)
            memory.append((f"after {options.calls} calls", _memory(bench)))
            await _fill(bench, options.pending - 1)
            await asyncio.sleep(QUIET_SECONDS)
            memory.append((f"{options.pending - 1} waiting", _memory(bench)))
            crowded = await _releases(bench, people, "timed-crowded", options.calls)
            memory.append((f"after {options.calls} calls more", _memory(bench)))
            await _clear(bench, people)
            await asyncio.sleep(QUIET_SECONDS)
            memory.append(("none waiting any more", _memory(bench)))
    show(
        "From a person's decision to the answer of the call, one at a time (ms)",
        ("calls that wait meanwhile", "p50", "p99", "max"),
        [_row("none", alone), _row(str(options.pending - 1), crowded)],
    )
    show("The gateway's memory", ("when", "MiB"), [(name, f"{size / MIB:.1f}") for name, size in memory])


async def _round_by_round(options: Options) -> None:
    """Show what approved calls leave behind in the gateway once their requests are gone, as they go with their Tasks."""

    async def choose(contact: str) -> Verdict:
        del contact
        return Verdict.APPROVE

    async with _started({"AOS_MAX_PENDING_APPROVALS": "1000"}) as bench:
        sizes = [("before", _memory(bench))]
        async with deciding(bench.client, world.TEAM, choose) as people:
            for number in range(1, options.rounds + 1):
                await _releases(bench, people, f"round-{number}", options.calls)
                await asyncio.sleep(QUIET_SECONDS)
                await _forget(bench, people)
                await asyncio.sleep(QUIET_SECONDS)
                sizes.append((f"after {number * options.calls} calls", _memory(bench)))
                print(f"{sizes[-1][0]}: {sizes[-1][1] / MIB:.1f} MiB", flush=True)
    show(
        "The gateway's memory, the requests of each round deleted after it",
        ("when", "MiB"),
        [(name, f"{size / MIB:.1f}") for name, size in sizes],
    )


async def _forget(bench: Bench, people: People) -> None:
    for request in list(people.seen.values()):
        with contextlib.suppress(NotFound):
            await bench.client.delete(APPROVAL_REQUESTS, request.metadata.name, namespace=world.TEAM)
    people.seen.clear()


async def _releases(bench: Bench, people: People, name: str, calls: int) -> list[float]:
    """Return seconds from decision to answer of so many calls, one after the other."""
    found = []
    for number in range(calls):
        contact = f"{name}-{number}"
        while True:
            said = await bench.agent.update(contact)
            if said is not None and said.reason != "ApprovalPending":
                break
        if said.reason:
            raise RuntimeError(f"{contact} was refused: {said.reason}")
        found.append(time.monotonic() - people.said_at[contact])
    return found


async def _fill(bench: Bench, pending: int) -> None:
    """Make calls that nobody decides."""
    contacts = iter([f"waiting-{number}" for number in range(pending)])

    async def work() -> None:
        for contact in contacts:
            said = await bench.agent.update(contact)
            if said is None or said.reason != "ApprovalPending":
                raise RuntimeError(f"{contact} is not held: {said}")

    await asyncio.gather(*(work() for _ in range(FILLERS)))


async def _clear(bench: Bench, people: People) -> None:
    for request in list(people.seen.values()):
        if request.status.state is RequestState.PENDING:
            await bench.client.delete(APPROVAL_REQUESTS, request.metadata.name, namespace=world.TEAM)


def _memory(bench: Bench) -> int:
    if bench.gateway.program is None:
        raise RuntimeError("the gateway does not run")
    return bench.gateway.program.resident_bytes()


def _row(name: str, seconds: list[float]) -> tuple[str, str, str, str]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return name, f"{cuts[49] * 1000:.1f}", f"{cuts[98] * 1000:.1f}", f"{max(seconds) * 1000:.1f}"


@contextlib.asynccontextmanager
async def _started(settings: dict[str, str]) -> AsyncIterator[Bench]:
    """Start a control plane, the CRM and the gateway; give them, and end them."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aos-bench-")))
        cluster = stack.enter_context(control_plane(folder / "cluster"))
        client = await stack.enter_async_context(await ApiClient.connect(cluster.kubeconfig))
        crm = Crm()
        url = await stack.enter_async_context(serving_crm(crm))
        certificate = Authority.create().serving(serving_names(world.SYSTEM), [LOOPBACK])
        tool_port = int(url.rpartition(":")[2])
        token = await world.build(client, tool_port, certificate, UPDATES, POLICY)
        gateway = GatewayProcess(cluster.kubeconfig, folder, world.SYSTEM, settings, free_port())
        stack.callback(gateway.close)
        await gateway.start()
        agent = await stack.enter_async_context(agent_at(gateway.port, token))
        yield Bench(client, gateway, agent, crm)
