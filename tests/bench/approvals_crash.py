"""Kills a gateway again and again between approval, forwarding and marking, and counts what came of each call.

Each call that people approved must be made once, or the agent must be told that nobody knows whether it was; none may be
made twice, and none that they did not approve.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count

from aos.model.approval_request import Verdict
from tests.bench.approvals_people import People
from tests.bench.approvals_world import Agent, Crm, GatewayProcess, Said

AT_ONCE = 4
"""Calls that are under way when the gateway dies."""
ROUND_SECONDS = 120.0
PAUSE_SECONDS = 0.05
MOST_DELAY_SECONDS = 0.03
TRY_AGAIN = frozenset(
    {
        "StoreUnavailable",
        "Stale",
        "UpstreamUnreachable",
        "CircuitOpen",
        "TooManyApprovals",
        "CredentialsMissing",
    }
)
"""Refusals that pass: of a gateway that has just started, too."""


class Point(StrEnum):
    """What the gateway dies after."""

    ASKED = "people were asked"
    DECIDED = "people decided"
    FORWARDED = "the call reached the tool"
    MADE = "the tool did it"
    ANSWERED = "the agent was answered"


@dataclass
class Tally:
    """What came of all calls.

    Attributes:
        ends: how they ended for the agent.
        wrong: what must never happen, in words.
    """

    rounds: int = 0
    calls: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Crashes:
    """One gateway, killed once a round."""

    def __init__(self, gateway: GatewayProcess, agent: Agent, crm: Crm) -> None:
        self.tally = Tally()
        self._gateway = gateway
        self._agent = agent
        self._crm = crm
        self._numbers = count(1)
        self._happened = {point: asyncio.Event() for point in Point}
        crm.arrived = self._told(Point.FORWARDED)
        crm.done = self._told(Point.MADE)
        self.asked = self._told(Point.ASKED)

    async def choose(self, contact: str) -> Verdict | None:
        """Be a person: say what the contact's name asks for, a moment later."""
        await asyncio.sleep(random.uniform(0, MOST_DELAY_SECONDS))  # noqa: S311 - a race, no secret
        self._happened[Point.DECIDED].set()
        if contact.startswith("never"):
            return None
        return Verdict.REJECT if contact.startswith("reject") else Verdict.APPROVE

    async def round(self, people: People, point: Point | None = None) -> None:
        """Make a few calls, kill the gateway after ``point`` or anywhere, start it anew, and look what came of them.

        Raises:
            TimeoutError: a call came to nothing in two minutes.
        """
        point = point or random.choice(list(Point))  # noqa: S311
        for event in self._happened.values():
            event.clear()
        fates = ["approve"] * (AT_ONCE - 1) + [random.choice(["approve", "reject", "never"])]  # noqa: S311
        contacts = [f"{fate}-{next(self._numbers)}" for fate in fates]
        restarted = asyncio.Event()
        async with asyncio.timeout(ROUND_SECONDS):
            calls = [asyncio.create_task(self._insist(contact, restarted)) for contact in contacts]
            await self._happened[point].wait()
            await asyncio.sleep(random.uniform(0, MOST_DELAY_SECONDS))  # noqa: S311
            await self._gateway.kill()
            await self._gateway.start()
            restarted.set()
            found = await asyncio.gather(*calls)
        self.tally.rounds += 1
        self.tally.points[point.value] += 1
        for contact, said in zip(contacts, found, strict=True):
            self._judge(contact, said, people)

    async def _insist(self, contact: str, restarted: asyncio.Event) -> Said:
        """Make the identical call until it comes to something."""
        while True:
            said = await self._agent.update(contact)
            if said is not None and not self._goes_on(contact, said, restarted):
                self._happened[Point.ANSWERED].set()
                return said
            await asyncio.sleep(PAUSE_SECONDS)

    def _goes_on(self, contact: str, said: Said, restarted: asyncio.Event) -> bool:
        if said.reason == "ApprovalPending":
            return not contact.startswith("never") or not restarted.is_set()
        # What the tool did not answer is asked again: then the gateway says what is known.
        return said.reason in TRY_AGAIN or said.reason.startswith("Upstream")

    def _judge(self, contact: str, said: Said, people: People) -> None:
        times = self._crm.times(contact)
        self.tally.calls += 1
        self.tally.ends[f"{said.reason or 'made'}{' (unknown)' if said.unknown else ''}"] += 1
        fate = contact.partition("-")[0]
        if times > 1:
            self._wrong(contact, f"was made {times} times")
        if fate != "approve" and times:
            self._wrong(contact, "was made though nobody approved it")
        first = next((at for name, at in self._crm.made if name == contact), None)
        if first is not None and first < people.said_at.get(contact, float("inf")):
            self._wrong(contact, "was made before anybody approved it")
        expected = {"approve": ("", "ApprovalUsed"), "reject": ("ApprovalRejected",), "never": _WAITS}[fate]
        if said.reason not in expected:
            self._wrong(contact, f"ended with {said.reason or 'an answer'}")
        if fate == "approve" and not said.unknown and times != 1:
            self._wrong(contact, f"was said to be made, and was made {times} times")

    def _wrong(self, contact: str, what: str) -> None:
        self.tally.wrong.append(f"{contact} {what}")

    def _told(self, point: Point) -> "Told":
        return Told(self._happened[point])


_WAITS = ("ApprovalPending",)


@dataclass(frozen=True)
class Told:
    """Hears of something that happens to a contact."""

    event: asyncio.Event

    def __call__(self, contact: str) -> None:
        """Note it."""
        del contact
        self.event.set()
