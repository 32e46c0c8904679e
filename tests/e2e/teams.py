"""The examples' teams on a real node: their runs, the people who decide, and what their systems saw."""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pydantic import JsonValue

from hack.demo.access import Access
from hack.demo.example import FINANCE, MARKETING, SALES, SUPPORT, Example
from hack.demo.installation import apply_example, paths
from hack.demo.people import Person
from hack.demo.settings import Settings
from tests.e2e.installation import SYSTEM, Installation, JsonObject, at, condition, wait_for
from tests.e2e.people import BOOKKEEPER, BRAND, FINANCE_LEAD, LAWYER, LEAD, SUPPORT_LEAD, User, name_of

DECIDERS: dict[str, tuple[Person, ...]] = {
    SALES.name: (LEAD,),
    SUPPORT.name: (SUPPORT_LEAD, LAWYER),
    MARKETING.name: (BRAND,),
    FINANCE.name: (BOOKKEEPER, FINANCE_LEAD),
}
OTHERS = (SUPPORT, MARKETING, FINANCE)
WHY_NOT = "not like this"


@dataclass(frozen=True)
class Run:
    """One run of an example's workflow, and the step at which people say no, if there is one."""

    team: Example
    name: str
    input: JsonObject
    rejected_at: str = ""

    def manifest(self, requested_by: str) -> JsonObject:
        spec: JsonObject = {"workflowRef": {"name": self.team.workflow}, "input": self.input}
        return {
            "apiVersion": "aos.dev/v1alpha1",
            "kind": "WorkflowRun",
            "metadata": {"name": self.name, "namespace": self.team.name},
            "spec": {**spec, "requestedBy": requested_by},
        }


class Teams:
    """Runs of the examples, and the people who decide on what waits."""

    def __init__(self, aos: Installation, runs: Iterable[Run]) -> None:
        self.aos = aos
        self.runs = {run.name: run for run in runs}
        self.namespaces = sorted({run.team.name for run in self.runs.values()})
        access = Access(aos.node, paths())
        self._people = {
            team: [User(access, person, team) for person in DECIDERS[team]] for team in self.namespaces
        }

    def start(self) -> None:
        """Start all runs at once; what an earlier session left of them goes first."""
        self.delete()
        self.aos.apply(*(run.manifest(self.aos.me) for run in self.runs.values()))

    def delete(self) -> None:
        for team in self.namespaces:
            names = [run.name for run in self.runs.values() if run.team.name == team]
            self.aos.delete("workflowrun", *names, namespace=team)

    def work(self, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Let people decide on all that waits for them, until every run has ended."""

        def look() -> bool | None:
            meanwhile()
            for team in self.namespaces:
                self._decide(team)
            return self._ended() >= set(self.runs) or None

        try:
            wait_for(look, "the end of every run", seconds, pause=0.5)
        except AssertionError as late:
            open_runs = [self.told(name) for name in self.runs if not self.reason(name)]
            raise AssertionError("\n".join([str(late), *open_runs])) from late

    def _ended(self) -> set[str]:
        """Return the names of the runs that have ended; one question for each team, since asking costs more than answering."""
        return {
            name_of(run)
            for team in self.namespaces
            for run in self.aos.items("workflowruns", namespace=team)
            if (condition(run, "Succeeded") or {"status": "Unknown"})["status"] != "Unknown"
        }

    def _decide(self, team: str) -> None:
        waiting = [
            request
            for request in self.aos.items("approvalrequests", namespace=team)
            if at(request, "status.state") == "Pending" and at(request, "spec.type") != "Review"
        ]
        tasks = {name_of(task): task for task in self.aos.items("tasks", namespace=team)} if waiting else {}
        for request in waiting:
            run, step = asked_for(request, tasks)
            said = {str(at(one, "approver")) for one in listed(at(request, "spec.decisions"))}
            for person in self._people[team]:
                if run in self.runs and person.person.name not in said:
                    self._say(person, name_of(request), rejects=self.runs[run].rejected_at == step)

    @staticmethod
    def _say(person: User, request: str, *, rejects: bool) -> None:
        # Who comes second to a request that is decided already is told so: that is no failure here.
        verdict = ["reject", request, "-m", WHY_NOT] if rejects else ["approve", request]
        person.aos(*verdict, "--yes")

    def status(self, name: str) -> JsonObject:
        return self.aos.get("workflowrun", name, self.runs[name].team.name)

    def reason(self, name: str) -> str:
        """Return how a run ended; empty while it has not."""
        found = condition(self.status(name), "Succeeded")
        return str(found["reason"]) if found is not None and found["status"] != "Unknown" else ""

    def steps(self, name: str) -> dict[str, str]:
        """Return where each step of a run stands."""
        return {
            str(at(step, "name")): str(at(step, "state"))
            for step in listed(at(self.status(name), "status.steps"))
        }

    def told(self, name: str) -> str:
        """Return what a run says of itself, for a failing test."""
        found = condition(self.status(name), "Succeeded") or {}
        return f"{name}: {found.get('reason')}: {found.get('message')}; {self.steps(name)}"

    def tasks(self, name: str) -> list[JsonObject]:
        """Return the Tasks of a run."""
        return self.aos.items("tasks", f"aos.dev/run={name}", namespace=self.runs[name].team.name)

    def seen(self, team: Example, system: str, action: str) -> list[str]:
        """Return the records of all calls of an action in a system's own access log."""
        return [
            str(line["record"])
            for line in self.aos.system_log(system, team.systems_namespace)
            if line["action"] == action
        ]

    def rows(self, team: Example, system: str, query: str) -> list[list[JsonValue]]:
        """Return what a system itself holds in its SQLite file."""
        file = f"/tmp/{system}.sqlite"  # noqa: S108 - the pod's own
        namespace = team.systems_namespace
        ran = self.aos.run(f"deploy/{system}", "python", "-c", READ, file, query, namespace=namespace)
        assert ran.code == 0, ran.output
        found = json.loads(ran.output)
        assert isinstance(found, list)
        return found


READ = """
import json, sqlite3, sys
print(json.dumps(sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute(sys.argv[2]).fetchall()))
"""


def install_teams(aos: Installation, settings: Settings) -> None:
    """Apply the examples that come on top of sales, all at once: each waits for its systems."""
    access = Access(aos.node, paths())
    with ThreadPoolExecutor(len(OTHERS)) as pool:
        for _ in pool.map(lambda one: apply_example(access, settings, one), OTHERS):
            pass


def forget(aos: Installation) -> None:
    """Let the examples' systems and the gateway forget what earlier sessions did: their stores go with their pods."""
    access = Access(aos.node, paths())
    there = aos.kubectl("get", "namespaces", "-o", "name").split()
    teams = [one for one in (SALES, *OTHERS) if f"namespace/{one.systems_namespace}" in there]
    for one in teams:
        aos.kubectl("rollout", "restart", "deployment", "-n", one.systems_namespace)
    aos.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=gateway", "-n", SYSTEM)
    for one in teams:
        access.rollout(one.systems_namespace, *one.systems, seconds=100)
    access.rollout(SYSTEM, "aos-gateway", seconds=100)


def asked_for(request: JsonObject, tasks: dict[str, JsonObject]) -> tuple[str, str]:
    """Return the run and the step that a request is about."""
    source = at(request, "spec.run")
    if source is None:
        source = at(tasks.get(str(at(request, "spec.task.name")), {}), "spec.run")
    return str(at(source, "name")), str(at(source, "step"))


def listed(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []
