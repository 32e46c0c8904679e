"""How a part of AOS dies in tests: all at once, without a signal handler."""

import os
import signal
from pathlib import Path

from tests.e2e.installation import SYSTEM, Installation, JsonObject, at, condition, wait_for


def component_pod(aos: Installation, component: str) -> JsonObject | None:
    pods = aos.items("pods", f"app.kubernetes.io/component={component}", namespace=SYSTEM)
    ready = [pod for pod in pods if (condition(pod, "Ready") or {}).get("status") == "True"]
    return ready[0] if ready else None


def kill(aos: Installation, component: str) -> None:
    """End the component's process as a crash would: no signal handler runs."""
    pod = wait_for(lambda: component_pod(aos, component), f"a ready {component}")
    uid, name = str(at(pod, "metadata.uid")), str(at(pod, "metadata.name"))
    processes = [path for path in Path("/proc").glob("[0-9]*") if of_pod(path, uid)]
    for process in processes:
        os.kill(int(process.name), signal.SIGKILL)
    if not processes:  # the node is on another machine: the pod goes without a grace period
        aos.api.delete("pod", name, SYSTEM, grace_seconds=0)


def of_pod(process: Path, uid: str) -> bool:
    """Whether a process is AOS's own in the pod with ``uid``."""
    try:
        return uid in (process / "cgroup").read_text() and b"aos" in (process / "cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return False
