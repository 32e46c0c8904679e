"""What a call costs through the gateway with everything on, beside a bare proxy on the same stack and nginx.

Processor time is that of the measured process alone. Targets take turns, and each ratio is of one turn: on a busy machine
ratios hold where times do not.
"""

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from aos.kube.client import ApiClient
from aos.reconcile.certificates import serving_names
from hack.cluster.pki import Authority
from hack.ports import free_port
from tests.bench import gateway_targets as targets
from tests.bench import gateway_world as world
from tests.bench.cluster import control_plane
from tests.bench.gateway_targets import Files, Target
from tests.bench.load import Load, Request, send, send_once
from tests.bench.processes import LOOPBACK
from tests.bench.table import show

CONNECTIONS = 16
WARM_UP_SECONDS = 3
READY_SECONDS = 60.0
BARE = "bare proxy"
NGINX = "nginx"
GATEWAY = "gateway"
MIB = 2**20
MEMORY_TURN_SECONDS = 10
MEMORY_STEP_CALLS = 100_000


@dataclass(frozen=True)
class Options:
    """How much is measured."""

    rounds: int
    seconds: int
    memory_calls: int


@dataclass(frozen=True)
class Sample:
    """One target's turn."""

    cpu_seconds_per_call: float
    calls_per_second: float
    alone: Load


@dataclass(frozen=True)
class Bench:
    """Everything that runs."""

    token: str
    servers: tuple[Target, ...]
    folder: Path

    @property
    def gateway(self) -> Target:
        """The one that is ours."""
        return self.servers[0]


def main(arguments: Sequence[str] = ()) -> None:
    """Print the tables."""
    options = _options(arguments)
    with started() as bench:
        _until_answered(bench)
        rounds = [_round(bench, options.seconds) for _ in range(options.rounds)]
        _show_costs(rounds)
        _show_latencies(rounds)
        _show_others(bench, options.seconds)
        _show_memory(bench, options.memory_calls)


@contextlib.contextmanager
def started() -> Iterator[Bench]:
    """Start a control plane and all servers, give them, and end them."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aos-bench-")))
        cluster = stack.enter_context(control_plane(folder / "cluster"))
        certificate = Authority.create().serving(serving_names(world.SYSTEM), [LOOPBACK])
        files = Files(folder / "tls.crt", folder / "tls.key")
        files.certificate.write_bytes(certificate.certificate)
        files.key.write_bytes(certificate.key)
        tool_port = free_port()

        async def build() -> str:
            async with await ApiClient.connect(cluster.kubeconfig) as client:
                return await world.build(client, tool_port, certificate)

        token = asyncio.run(build())
        stack.enter_context(targets.tool(tool_port, folder))
        servers = [
            stack.enter_context(targets.gateway(cluster.kubeconfig, folder)),
            stack.enter_context(targets.bare_proxy(tool_port, files, folder)),
            stack.enter_context(targets.libraries(tool_port, files, folder)),
        ]
        engine = stack.enter_context(targets.nginx(tool_port, files, folder))
        if engine is None:
            print("nginx is not installed: it is left out")
        else:
            servers.append(engine)
        yield Bench(token, tuple(servers), folder)


def _options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.bench gateway")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each target")
    parser.add_argument("--seconds", type=int, default=4, help="load of each turn")
    parser.add_argument(
        "--memory-calls", type=int, default=50_000, help="calls over which memory is looked at"
    )
    given = parser.parse_args(arguments)
    return Options(given.rounds, given.seconds, given.memory_calls)


def _until_answered(bench: Bench) -> None:
    """Wait until the gateway allows the call and denies the other; then every target has answered once."""
    deadline = time.monotonic() + READY_SECONDS
    while _is_error(send_once(world.call(bench.token, "get_contact"), bench.gateway.port)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the gateway does not allow the call:\n{bench.gateway.program.log_end()}")
        time.sleep(0.2)
    if not _is_error(send_once(world.call(bench.token, "export_contacts"), bench.gateway.port)):
        raise RuntimeError("the gateway must deny the export")
    for target in bench.servers:
        send(world.call(bench.token, "get_contact"), target.port, CONNECTIONS, WARM_UP_SECONDS, bench.folder)


def _is_error(answer: bytes) -> bool:
    return bool(orjson.loads(answer)["result"]["isError"])


def _round(bench: Bench, seconds: int) -> dict[str, Sample]:
    request = world.call(bench.token, "get_contact")
    samples: dict[str, Sample] = {}
    for target in bench.servers:
        alone = send(request, target.port, 1, max(1, seconds // 2), bench.folder)
        cpu, load = _measured(target, request, seconds, bench.folder)
        samples[target.name] = Sample(cpu / load.requests, load.requests / load.seconds, alone)
    return samples


def _measured(target: Target, request: Request, seconds: int, folder: Path) -> tuple[float, Load]:
    before = target.program.cpu_seconds()
    load = send(request, target.port, CONNECTIONS, seconds, folder)
    return target.program.cpu_seconds() - before, load


def _show_costs(rounds: list[dict[str, Sample]]) -> None:
    cpu: Callable[[Sample], float] = lambda sample: sample.cpu_seconds_per_call  # noqa: E731
    rows = [
        [
            name,
            f"{_median(rounds, name, cpu) * 1e6:.0f}",
            f"{1 / _median(rounds, name, cpu):.0f}",
            f"{_median(rounds, name, lambda sample: sample.calls_per_second):.0f}",
            f"{_ratio(rounds, name, BARE, cpu):.2f}",
            f"{100 * _ratio(rounds, NGINX, name, cpu):.1f} %" if NGINX in rounds[0] else "-",
        ]
        for name in rounds[0]
    ]
    show(
        f"gateway: tools/call with about 1 KiB of result over TLS, {CONNECTIONS} connections,"
        f" median of {len(rounds)} rounds",
        (
            "target",
            "CPU us/call",
            "calls/s of a core",
            "calls/s seen",
            "CPU / bare proxy",
            "calls/s of a core, nginx = 100 %",
        ),
        rows,
    )


def _show_latencies(rounds: list[dict[str, Sample]]) -> None:
    p50: Callable[[Sample], float] = lambda sample: sample.alone.p50_seconds  # noqa: E731
    p99: Callable[[Sample], float] = lambda sample: sample.alone.p99_seconds  # noqa: E731
    rows = [
        [
            name,
            f"{_median(rounds, name, p50) * 1e3:.2f}",
            f"{_median(rounds, name, p99) * 1e3:.2f}",
            f"{1e3 * statistics.median(p50(r[name]) - p50(r[BARE]) for r in rounds):+.2f}",
        ]
        for name in rounds[0]
    ]
    show(
        "gateway: the same at one connection",
        ("target", "p50 ms", "p99 ms", "p50 beside bare proxy, ms"),
        rows,
    )


def _show_others(bench: Bench, seconds: int) -> None:
    rows = []
    for name, request in (
        ("tools/call, allowed", world.call(bench.token, "get_contact")),
        ("tools/call, denied by a rule", world.call(bench.token, "export_contacts")),
        ("tools/call, denied by its condition", world.call(bench.token, "get_contact", "amer-0001")),
        ("tools/list", world.listing(bench.token)),
    ):
        cpu, load = _measured(bench.gateway, request, seconds, bench.folder)
        rows.append([name, f"{cpu / load.requests * 1e6:.0f}"])
    show("gateway: by request", ("request", "CPU us/call"), rows)


def _show_memory(bench: Bench, calls: int) -> None:
    request, program = world.call(bench.token, "get_contact"), bench.gateway.program
    rows = [_memory_row(bench, 0)]
    made, shown = 0, 0
    while made < calls:
        made += send(request, bench.gateway.port, CONNECTIONS, MEMORY_TURN_SECONDS, bench.folder).requests
        program.check()
        if made - shown >= MEMORY_STEP_CALLS or made >= calls:
            shown = made
            rows.append(_memory_row(bench, made))
            print(*rows[-1], flush=True)
    show("gateway: memory and store", ("calls", "resident MiB", "store MiB"), rows)


def _memory_row(bench: Bench, made: int) -> list[str]:
    store = sum(path.stat().st_size for path in bench.folder.glob("store.db*"))
    return [str(made), f"{bench.gateway.program.resident_bytes() / MIB:.1f}", f"{store / MIB:.1f}"]


def _median(rounds: list[dict[str, Sample]], name: str, value: Callable[[Sample], float]) -> float:
    return statistics.median(value(samples[name]) for samples in rounds)


def _ratio(rounds: list[dict[str, Sample]], name: str, other: str, value: Callable[[Sample], float]) -> float:
    return statistics.median(value(samples[name]) / value(samples[other]) for samples in rounds)


if __name__ == "__main__":
    main()
