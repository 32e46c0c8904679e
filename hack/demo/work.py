"""The demonstration's one Task, from its start over what waits for a person to its end."""

import json
from dataclasses import dataclass
from typing import Final

from aos.cli.story import ending, succeeded
from aos.model.approval_request import ApprovalRequest
from aos.model.task import Task
from hack.cluster.kubectl import wait_until
from hack.cluster.progress import step
from hack.demo import example
from hack.demo.access import DemoError
from hack.demo.approval import Desk, run_aos
from hack.demo.proof import Decided

WORK_SECONDS: Final = 120.0
"""Longest that nothing may happen, but for a person at the terminal, who takes their time."""
_DEADLINE: Final = "30m"


@dataclass(frozen=True, slots=True)
class Worked:
    """The Task as it ended, and what people said meanwhile."""

    task: Task
    decided: tuple[Decided, ...]


def run_task(desk: Desk) -> Worked:
    """Give the agent a Task, and let the desk decide on each call that waits.

    Raises:
        DemoError: it did not get on, or did not succeed.
    """
    name, decided = _started(desk), list[Decided]()
    while True:
        with step(f"Task {name}, until it ends or waits for a person"):
            turn = _next(desk, name)
        if isinstance(turn, Task):
            return Worked(_checked(turn), tuple(decided))
        decided.append(desk.decide(turn))


def _started(desk: Desk) -> str:
    arguments = ["run", example.AGENT, "-n", example.TEAM, "-i", f"lead={example.LEAD}"]
    bounds = ["--no-watch", "--deadline", _DEADLINE, "-o", "name"]
    done = run_aos(desk.access.handle.kubeconfig, "admin", [*arguments, *bounds])
    if done.returncode != 0:
        raise DemoError(f"`aos run` ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip().rpartition("/")[2]


def _next(desk: Desk, name: str) -> Task | ApprovalRequest:
    found: list[Task | ApprovalRequest] = []

    def look() -> bool:
        shown = desk.access.kubectl.must("get", "task", name, "-n", example.TEAM, "-o", "json")
        task = Task.parse(json.loads(shown))
        found.extend([task] if task.ended else desk.waiting(name)[:1])
        return bool(found)

    if not wait_until(look, WORK_SECONDS, every_seconds=0.3):
        raise DemoError(f"Task {name} neither ended nor waited for a person within {WORK_SECONDS:g} s")
    return found[0]


def _checked(task: Task) -> Task:
    if not succeeded(task):
        raise DemoError(ending(task))
    return task
