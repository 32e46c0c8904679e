"""What dies at random in the middle of runs: all of them reach their right end, and no effect is there twice."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from hack.demo.example import FINANCE, MARKETING, SALES, SUPPORT, Example
from tests.e2e.deaths import component_pod, of_pod
from tests.e2e.installation import Installation, JsonObject, at
from tests.e2e.teams import Run, Teams

SEED = 20
COMPANIES = {
    "emea-0011": "Maarsveld Greenhouses",
    "emea-0012": "Tarvikka Timber",
    "emea-0015": "Novaque Diagnostics",
    "emea-0016": "Zlatina Instruments",
    "emea-0018": "Alpenrund Cableways",
    "emea-0019": "Thermaikos Solar",
}
INVOICES = ("INV-2005", "INV-2006")
TICKETS = ("T-1001", "T-1002", "T-1006")
TOPICS = tuple(f"our news number {number}" for number in range(9))


def enriching(company: str) -> JsonObject:
    return {"lead": {"company": company, "territory": "emea"}}


TITLES = tuple(f"{topic[:1].upper()}{topic[1:]}, told plainly" for topic in TOPICS)
RUNS = (
    *(Run(SALES, f"chaos-{contact}", enriching(company)) for contact, company in COMPANIES.items()),
    *(Run(FINANCE, f"chaos-{invoice.lower()}", {"invoice": invoice}) for invoice in INVOICES),
    *(Run(SUPPORT, f"chaos-{ticket.lower()}", {"ticket": ticket}) for ticket in TICKETS),
    *(Run(MARKETING, f"chaos-post-{number}", {"topic": topic}) for number, topic in enumerate(TOPICS)),
)
DEATHS = ["operator"] * 2 + ["operator's pod", *["gateway"] * 2, *["agent"] * 5]
PAUSE_SECONDS = 3.0
LEAST_DEATHS = 6
"""On a machine that is fast enough to have done with all runs before the last of them."""
END_SECONDS = 270.0


@dataclass(frozen=True)
class Effect:
    """What runs are there for, as the system holds it in which it is done.

    Attributes:
        team: whose runs.
        system: that does it.
        what: the column and table, and which rows, as SQL after SELECT.
        names: one for each run: what the column holds.
    """

    team: Example
    system: str
    what: str
    names: Sequence[str]


EFFECTS: Final = (
    Effect(SALES, "mail", "contact FROM message", tuple(COMPANIES)),
    Effect(FINANCE, "ledger", "invoice FROM entry", INVOICES),
    Effect(SUPPORT, "tickets", "ticket FROM reply", TICKETS),
    Effect(MARKETING, "cms", "title FROM page WHERE state = 'published'", TITLES),
    Effect(MARKETING, "cms", "title FROM page", TITLES),
)


def counted(teams: Teams, effect: Effect) -> dict[str, int]:
    """How many of each name a system itself holds."""
    found = Counter(str(name) for [name] in teams.rows(effect.team, effect.system, f"SELECT {effect.what}"))
    return {name: found[name] for name in effect.names}


def refusals(teams: Teams, run: str) -> list[str]:
    """What the gateway says of refused calls of a run: reason and note."""
    events = teams.aos.items("events", namespace=teams.runs[run].team.name)
    said = [(str(at(event, "reason")), str(at(event, "note"))) for event in events if event.get("note")]
    return [f"{reason}: {note}" for reason, note in said if note.startswith(f"Task {run}-")]


class Deaths:
    """Ends one process every few seconds: which one, a seed says."""

    def __init__(self, aos: Installation, namespaces: list[str]) -> None:
        self._aos = aos
        self._namespaces = namespaces
        self._random = random.Random(SEED)  # noqa: S311 - the same each time is the point
        self._left = self._random.sample(DEATHS, len(DEATHS))
        self._next = time.monotonic() + PAUSE_SECONDS
        self.done = Counter[str]()

    def __call__(self) -> None:
        if not self._left or time.monotonic() < self._next:
            return
        victim = self._left[0]
        if self._agent() if victim == "agent" else self._component(victim):
            self._left.pop(0)
            self.done[victim] += 1
            self._next = time.monotonic() + PAUSE_SECONDS

    def _component(self, name: str) -> bool:
        pod = component_pod(self._aos, name.removesuffix("'s pod"))
        if pod is None:
            return False
        # The gateway's store lives as long as its pod; an operator of another pod leads once the lease has run out.
        end(self._aos, pod, with_pod=name.endswith("'s pod"))
        return True

    def _agent(self) -> bool:
        pods = [
            pod
            for namespace in self._namespaces
            for pod in self._aos.items("pods", "aos.dev/agent", namespace=namespace)
            if at(pod, "status.phase") == "Running"
        ]
        if not pods:
            return False
        end(self._aos, self._random.choice(pods))
        return True


def end(aos: Installation, pod: JsonObject, *, with_pod: bool = False) -> None:
    """End a pod's processes as a crash would, and the pod with them if asked."""
    name, namespace = str(at(pod, "metadata.name")), str(at(pod, "metadata.namespace"))
    processes = [path for path in Path("/proc").glob("[0-9]*") if of_pod(path, str(at(pod, "metadata.uid")))]
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(int(process.name), signal.SIGKILL)
    if with_pod or not processes:
        aos.api.delete("pod", name, namespace, grace_seconds=0)


@pytest.mark.timeout(400)
def test_twenty_runs_reach_their_right_end_and_nothing_is_done_twice_whatever_dies(
    examples: Installation,
) -> None:
    teams = Teams(examples, RUNS)
    deaths = Deaths(examples, teams.namespaces)
    teams.start()
    teams.work(END_SECONDS, deaths)
    wrong = [name for name in teams.runs if teams.reason(name) != "Completed"]
    assert {teams.told(name): refusals(teams, name) for name in wrong} == {}
    assert set(deaths.done) == set(DEATHS)
    assert deaths.done.total() >= LEAST_DEATHS
    for effect in EFFECTS:
        assert counted(teams, effect) == dict.fromkeys(effect.names, 1)
    teams.delete()
