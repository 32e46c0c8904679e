"""Operators as processes of their own, and what they say of themselves."""

import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.handle import Handle
from hack.ports import free_port
from tests.bench.processes import LOOPBACK, Program, running

HOME = "aos-system"
ACCOUNT = f"system:serviceaccount:{HOME}:aos-operator"
GATEWAY_ACCOUNT = f"system:serviceaccount:{HOME}:aos-gateway"
RECONCILES = "aos_operator_reconciles_total"
WRITES = "aos_operator_api_writes_total"
QUEUED = "aos_operator_queue_keys"
LEADER = "aos_operator_leader"

_READ_SECONDS = 5.0


@dataclass(frozen=True)
class OperatorProcess:
    """One running operator."""

    program: Program
    health_port: int
    started_at: float

    def metric(self, name: str, label: str = "") -> float:
        """Return the sum of a metric over all labels, or over those with ``label``; 0 before it is shown.

        Raises:
            RuntimeError: the operator has ended; what it said last tells why.
        """
        self.program.check()
        try:
            with urllib.request.urlopen(
                f"http://{LOOPBACK}:{self.health_port}/metrics", timeout=_READ_SECONDS
            ) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        found = [line for line in lines if line.startswith((f"{name}{{", f"{name} ")) and label in line]
        return sum(float(line.rpartition(" ")[2]) for line in found)


def operator_kubeconfig(cluster: Handle, folder: Path) -> Path:
    """Write a kubeconfig with the operator's name and every right; its path has no colon, which parts paths."""
    target = folder / "operator.kubeconfig"
    shutil.copyfile(cluster.user(ACCOUNT, "system:masters"), target)
    return target


@contextmanager
def operator(
    name: str,
    kubeconfig: Path,
    folder: Path,
    presents: str = "none",
    settings: Mapping[str, str] | None = None,
) -> Iterator[OperatorProcess]:
    """Run an operator, which shows gateways what it ``presents``."""
    port = free_port()
    token_file = folder / "token"
    token_file.write_text(f"{presents}\n")
    environment = {
        "POD_NAMESPACE": HOME,
        "AOS_AGENT_IMAGE": "registry.example/aos:bench",
        "AOS_KUBECONFIG": str(kubeconfig),
        "AOS_GATEWAY_TOKEN_FILE": str(token_file),
        "AOS_LISTEN_ADDRESS": LOOPBACK,
        "AOS_HEALTH_PORT": str(port),
        **(settings or {}),
    }
    started_at = time.perf_counter()
    with running(
        name, [str(Path(sys.executable).with_name("aos")), "operator"], folder, environment
    ) as program:
        yield OperatorProcess(program, port, started_at)
