"""How long a Task of a scripted agent takes from its creation to its first request to the model, and to its end.

Needs the cluster that ``make demo`` leaves (or ``$KUBECONFIG``); ``python -m tests.bench.starts [TASKS]``. Pods that are
started for the Task (cold) and pods that are kept for it (warm) take turns, one Task after the other.
"""

import os
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from hack.cluster.session import choose_cluster
from tests.e2e.api import api_of
from tests.e2e.installation import SALES, Installation, JsonObject, at, wait_for

NAMES = ("bench-cold", "bench-warm")
KEPT = 2
SETTLING_SECONDS = 5.0
"""Until the program of a pod that was made just now waits for its Task."""
FACTS: JsonObject = {
    "facts": {"contactId": "emea-0001", "summary": "Mira Solberg, VP at Halden Robotics (Robotics)."}
}


def main(tasks: int) -> None:
    """Measure, and print a line for each way."""
    named = os.environ.get("KUBECONFIG")
    node = choose_cluster(Path(named) if named else None).handle()
    with api_of(node) as api:
        compare(Installation(node, api), tasks)


def compare(aos: Installation, tasks: int) -> None:
    """Measure with agents that are there for this alone."""
    aos.apply(*(agent(aos, name, KEPT if name == "bench-warm" else 0) for name in NAMES))
    aos.becomes("agent", *NAMES)
    try:
        for name, seen in measured(aos, tasks).items():
            first, end = zip(*seen, strict=True)
            print(
                f"{name}: {len(seen)} Tasks, to the first request median {statistics.median(first):.2f} s"
                f" ({min(first):.2f} to {max(first):.2f}), to the end median {statistics.median(end):.2f} s"
            )
    finally:
        aos.delete("agent", *NAMES)


def agent(aos: Installation, name: str, warm: int) -> JsonObject:
    """Return a copywriter with so many pods kept warm."""
    spec = at(aos.get("agent", "copywriter"), "spec")
    assert isinstance(spec, dict)
    return {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": name, "namespace": SALES, "labels": {"role": "writing"}},
        "spec": {**spec, "capabilities": [], "runtime": {"warm": warm}},
    }


def measured(aos: Installation, tasks: int) -> dict[str, list[tuple[float, float]]]:
    """Return, for each way, seconds to the first request and to the end of each Task."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    for number in range(tasks):
        for name in NAMES:
            wait_for(lambda: ready(aos) >= KEPT or None, "pods that are kept warm")
            time.sleep(SETTLING_SECONDS)
            found[name].append(one(aos, name, f"{name}-{number}"))
    return found


def ready(aos: Installation) -> int:
    """How many pods wait for a Task."""
    pods = aos.items("pods", "aos.dev/agent=bench-warm,!aos.dev/task")
    return sum(all_ready(pod) for pod in pods)


def all_ready(pod: JsonObject) -> bool:
    statuses = at(pod, "status.containerStatuses")
    return isinstance(statuses, list) and all(at(one, "ready") is True for one in statuses)


def one(aos: Installation, agent_name: str, task: str) -> tuple[float, float]:
    """Do one Task; return when its first request came and when it had ended, in seconds from its creation."""
    manifest: JsonObject = {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Task",
        "metadata": {"name": task, "namespace": SALES},
        "spec": {"agentRef": {"name": agent_name}, "input": FACTS},
    }
    aos.cancel(task)
    aos.apply(manifest)
    created = time.time()
    aos.ended(task)
    ended = time.time() - created
    times = [datetime.fromisoformat(str(line["time"])) for line in aos.decisions(task)]
    aos.cancel(task)
    return min(times).astimezone(UTC).timestamp() - created, ended


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
