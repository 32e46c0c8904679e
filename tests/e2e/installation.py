"""What the end-to-end tests do with an installed AOS, in a few words."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TypeVar

from pydantic import JsonValue

from hack.cluster.handle import Handle
from tests.e2e.api import Api

JsonObject = dict[str, JsonValue]
SYSTEM = "aos-system"
SALES = "sales"
TOOLS = "sales-tools"
LEAD: JsonObject = {"company": "Halden Robotics", "territory": "emea"}
PATIENCE_SECONDS = 120.0
EVER = datetime.min.replace(tzinfo=UTC)
T = TypeVar("T")


@dataclass(frozen=True)
class Ran:
    """What a program in a pod came to."""

    code: int
    output: str


class Installation:
    """An AOS on a real node, seen from one namespace of a team."""

    def __init__(self, node: Handle, api: Api, namespace: str = SALES) -> None:
        self.node = node
        self.api = api
        self.namespace = namespace

    @cached_property
    def me(self) -> str:
        """The administrator's user name."""
        return str(at(self.api.whoami(), "status.userInfo.username"))

    def seen_from(self, namespace: str) -> "Installation":
        """Return the same AOS, seen from another namespace."""
        return Installation(self.node, self.api, namespace)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl, for what it alone can do or what is told of it: it takes ten times as long as a question to the API."""
        answer = self.node.kubectl(*arguments, stdin=stdin)
        assert answer.returncode == 0, f"kubectl {' '.join(arguments)}: {answer.stderr}"
        return answer.stdout

    def apply(self, *manifests: JsonObject) -> None:
        for manifest in manifests:
            self.api.apply(manifest)

    def find(self, kind: str, name: str, namespace: str = "") -> JsonObject | None:
        return self.api.find(kind, name, namespace or self.namespace)

    def get(self, kind: str, name: str, namespace: str = "") -> JsonObject:
        found = self.find(kind, name, namespace)
        assert found is not None, f"there is no {kind} {namespace or self.namespace}/{name}"
        return found

    def items(self, kind: str, selector: str = "", *, namespace: str | None = None) -> list[JsonObject]:
        """Return the objects of a kind that these labels select; of all namespaces if ``namespace`` is empty."""
        return self.api.items(kind, self.namespace if namespace is None else namespace, selector)

    def delete(self, kind: str, *names: str, namespace: str = "", wait: bool = True) -> None:
        """Delete what is there of these, and wait until all are gone unless told not to."""
        where = namespace or self.namespace
        going = {name: self.api.delete(kind, name, where) for name in names}
        for name, uid in going.items():
            if wait and uid is not None:
                self._goes(kind, name, where, uid)

    def _goes(self, kind: str, name: str, where: str, uid: str) -> None:
        def gone() -> bool | None:
            found = self.api.find(kind, name, where)
            return True if found is None or at(found, "metadata.uid") != uid else None

        wait_for(gone, f"{kind} {where}/{name} to be gone", pause=0.1)

    def becomes(
        self,
        kind: str,
        *names: str,
        wanted: str = "Ready",
        status: str = "True",
        namespace: str = "",
        seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Wait until each of these has the condition ``wanted`` with this status."""
        for name in names:

            def so(name: str = name) -> bool | None:
                found = condition(self.find(kind, name, namespace) or {}, wanted)
                return True if found is not None and found["status"] == status else None

            wait_for(so, f"{kind} {name} to be {wanted}={status}", seconds, pause=0.1)

    def run(self, pod: str, *command: str, namespace: str = "") -> Ran:
        answer = self.node.kubectl("exec", "-q", "-n", namespace or self.namespace, pod, "--", *command)
        return Ran(answer.returncode, answer.stdout + answer.stderr)

    def start(
        self, task: str, *script: JsonObject, agent: str = "lead-enricher", deadline: str = "5m"
    ) -> None:
        """Create a Task, asked for by the administrator; a script is what its scripted model plays."""
        work: JsonObject = {"lead": LEAD}
        if script:
            work["script"] = list(script)
        self.apply(
            {
                "apiVersion": "aos.dev/v1alpha1",
                "kind": "Task",
                "metadata": {"name": task, "namespace": self.namespace},
                "spec": {
                    "agentRef": {"name": agent},
                    "requestedBy": self.me,
                    "input": work,
                    "deadline": deadline,
                },
            }
        )

    def cancel(self, task: str) -> None:
        self.delete("task", task)

    def ended(self, task: str, seconds: float = PATIENCE_SECONDS) -> JsonObject:
        """Wait for the end of a Task; return the condition Succeeded."""

        def end() -> JsonObject | None:
            found = condition(self.get("task", task), "Succeeded")
            return found if found is not None and found["status"] != "Unknown" else None

        return wait_for(end, f"the end of task {task}", seconds)

    def running_pod(self, task: str) -> str:
        """Wait until the Task's own pod runs (not one of an earlier Task of that name); return its name."""

        def running() -> str | None:
            name = at(self.get("task", task), "status.pod.name")
            pod = self.find("pod", name) if isinstance(name, str) else None
            return str(name) if pod is not None and at(pod, "status.phase") == "Running" else None

        return wait_for(running, f"the pod of task {task}")

    def decisions(self, task: str) -> list[JsonObject]:
        """Return the gateway's records of a Task, in order."""
        log = self._logs("app.kubernetes.io/component=gateway", SYSTEM)
        return [line for line in json_lines(log) if line.get("task") == task and "effect" in line]

    def system_log(self, system: str, namespace: str) -> list[JsonObject]:
        """Return the access log that a system keeps itself."""
        log = self._logs(f"app.kubernetes.io/name={system}", namespace)
        return [line for line in json_lines(log) if "action" in line]

    def _logs(self, selector: str, namespace: str) -> str:
        pods = self.items("pods", selector, namespace=namespace)
        return "\n".join(self.api.log(str(at(pod, "metadata.name")), namespace) for pod in pods)

    def crm_log(self) -> list[JsonObject]:
        """Return the CRM's own access log."""
        return self.system_log("crm", TOOLS)

    def made(self, action: str, contact: str, since: datetime = EVER) -> int:
        """How many calls of an action on one contact the CRM saw."""
        return sum(
            line["action"] == action
            and line["record"] == contact
            and datetime.fromisoformat(str(line["time"])) >= since
            for line in self.crm_log()
        )


def at(value: JsonValue, path: str, *last: str) -> JsonValue:
    """Return the part of ``value`` at a dotted path, and at ``last`` below it, which may have dots; None where it ends early."""
    for name in (*path.split("."), *last):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def condition(found: Mapping[str, JsonValue], kind: str) -> JsonObject | None:
    conditions = at(dict(found), "status.conditions")
    assert conditions is None or isinstance(conditions, list)
    for entry in conditions or []:
        if isinstance(entry, dict) and entry.get("type") == kind:
            return entry
    return None


def wait_for(
    look: Callable[[], T | None], what: str, seconds: float = PATIENCE_SECONDS, pause: float = 0.2
) -> T:
    """Look until there is something to see.

    Raises:
        AssertionError: nothing was there in time.
    """
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(pause)


def json_lines(text: str) -> Iterator[JsonObject]:
    for line in text.splitlines():
        if line.startswith("{"):
            yield json.loads(line)
