"""What an agent's calls stay refused for: what is told of it, and no more often than it changes. No I/O."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from aos.gateway.caller import Caller
from aos.gateway.refusal import Refused
from aos.model.base import JsonObject
from aos.model.conditions import BOUND_REASONS, COUNTED_REASONS, Reason

PERSISTS_SECONDS: Final = 60.0
"""A bound that frees later than this persists; so does one for which calls were refused for so long."""
GAP_SECONDS: Final = 60.0
"""Refusals that are further apart are not one row."""
QUIET_SECONDS: Final = 300.0
"""A bound for which nothing was refused for so long is no longer told."""
RETOLD_SECONDS: Final = 300.0
"""When a bound frees, and which call is refused of several for one reason, is told anew at most once in this time."""
MAX_AGENTS: Final = 10_000
MAX_BOUNDS: Final = 24
"""Agents, and bounds of each, that are remembered; the ones refused longest ago are forgotten."""
MAX_BOUND_LENGTH: Final = 512

_REASONS: Final[Mapping[str, Reason]] = {reason.value: reason for reason in BOUND_REASONS}

AgentKey = tuple[str, str]
_BoundKey = tuple[Reason, str]
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Exceeded:
    """What an agent's calls are refused for.

    Attributes:
        reason: the code of the refusals.
        bound: its name for people: policy, part and scope; of what is not counted why the calls are refused.
        frees_at: when enough is free, in whole seconds; None where it is soon, or time alone does not free it.
    """

    reason: Reason
    bound: str
    frees_at: datetime | None = None

    def statement(self) -> JsonObject:
        """Return it as the enforcement report tells it."""
        frees_at = self.frees_at.isoformat().replace("+00:00", "Z") if self.frees_at else None
        return {"reason": self.reason.value, "bound": self.bound, "freesAt": frees_at}


@dataclass(slots=True)
class _Row:
    """Refusals for one bound, or one reason that counts nothing, none further apart than `GAP_SECONDS`; times are monotonic seconds.

    Attributes:
        bound: as the last one named it.
        digest: of the policy that they were made by.
        first_at: when the row began.
        last_at: when the last one came.
        frees_at: what the last one said; None where time alone does not free the bound.
        persists: whether it is worth telling.
    """

    bound: str
    digest: str
    first_at: float
    last_at: float
    frees_at: float | None
    persists: bool = False

    def again(self, digest: str, now: float, frees_at: float | None) -> None:
        if now - self.last_at > GAP_SECONDS:
            self.first_at = now
        self.digest, self.last_at, self.frees_at = digest, now, frees_at
        is_far = frees_at is not None and frees_at - now > PERSISTS_SECONDS
        self.persists = self.persists or is_far or now - self.first_at >= PERSISTS_SECONDS

    def is_over(self, now: float) -> bool:
        """Whether it has freed, or nothing was refused for long. What frees at once and is used up at once goes on."""
        if now - self.last_at >= QUIET_SECONDS:
            return True
        return self.frees_at is not None and now >= max(self.frees_at, self.last_at + GAP_SECONDS)


@dataclass(frozen=True, slots=True)
class _Told:
    exceeded: Exceeded
    at: float


class PersistingBounds:
    """Hears of every refusal that is announced, and says what persists of each agent."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._rows: OrderedDict[AgentKey, OrderedDict[_BoundKey, _Row]] = OrderedDict()
        self._told: dict[AgentKey, _Told] = {}

    def announce(self, caller: Caller, refused: Refused) -> None:
        """Note a refusal."""
        reason = _REASONS.get(refused.reason.value)
        if reason is None:
            return
        now = self._clock()
        agent = (caller.namespace, caller.agent)
        rows = self._rows.setdefault(agent, OrderedDict())
        bound = str(refused.facts.get("bound") or refused.note)[:MAX_BOUND_LENGTH]
        # What counts nothing is one row, whichever calls it refuses; when one of them may be tried again says nothing of the next.
        is_counted = reason in COUNTED_REASONS
        key = (reason, bound if is_counted else "")
        wait = refused.retry_after_seconds if is_counted else None
        row = rows.setdefault(key, _Row(bound, caller.policy.digest, now, now, None))
        row.again(caller.policy.digest, now, None if wait is None else now + wait)
        row.bound = bound
        _bound(rows, key, MAX_BOUNDS)
        _bound(self._rows, agent, MAX_AGENTS)

    def repeated(self, caller: Caller, note: str) -> None:
        """Nothing was refused."""

    def changes(self, digest_of: Callable[[str, str], str]) -> Mapping[AgentKey, Exceeded | None]:
        """Return what is to be told since the last time; None for agents of which nothing persists any more.

        Refusals by a policy whose digest is no longer the agent's do not count: its bounds may be others now.
        """
        if not self._rows and not self._told:
            return {}
        now = self._clock()
        for agent, rows in list(self._rows.items()):
            _drop(rows, digest_of(*agent), now)
            if not rows:
                del self._rows[agent]
        found: dict[AgentKey, Exceeded | None] = {}
        for agent in self._rows.keys() | self._told.keys():
            told = self._told.get(agent)
            exceeded = self._worst(self._rows.get(agent, {}), now)
            if exceeded is None:
                if told is not None:
                    del self._told[agent]
                    found[agent] = None
            elif told is None or self._is_news(told, exceeded, now):
                self._told[agent] = _Told(exceeded, now)
                found[agent] = exceeded
        return found

    def _worst(self, rows: Mapping[_BoundKey, _Row], now: float) -> Exceeded | None:
        """Return the one that is told: in the order of the reasons, so that it does not change with each refusal."""
        lasting = [key for key, row in rows.items() if row.persists]
        if not lasting:
            return None
        key = min(lasting, key=lambda item: (BOUND_REASONS.index(item[0]), item[1]))
        reason, bound, frees_at = key[0], rows[key].bound, rows[key].frees_at
        if frees_at is None or frees_at - now <= PERSISTS_SECONDS:
            return Exceeded(reason, bound)
        wall = self._wall_clock() + frees_at - now
        return Exceeded(reason, bound, datetime.fromtimestamp(wall, UTC).replace(microsecond=0))

    def _is_news(self, told: _Told, exceeded: Exceeded, now: float) -> bool:
        if told.exceeded.reason is not exceeded.reason:
            return True
        if told.exceeded.bound != exceeded.bound:
            return exceeded.reason in COUNTED_REASONS or now - told.at >= RETOLD_SECONDS
        before = told.exceeded.frees_at
        is_due = before is None or before.timestamp() <= self._wall_clock()
        return is_due and exceeded.frees_at != before and now - told.at >= RETOLD_SECONDS


def _drop(rows: OrderedDict[_BoundKey, _Row], digest: str, now: float) -> None:
    for key, row in list(rows.items()):
        if row.digest != digest or row.is_over(now):
            del rows[key]


def _bound(items: OrderedDict[Key, Value], newest: Key, most: int) -> None:
    items.move_to_end(newest)
    while len(items) > most:
        items.popitem(last=False)
