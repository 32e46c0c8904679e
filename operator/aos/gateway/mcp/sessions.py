"""Sessions that tools of the older era keep: one for each Tool and Task, bounded in number and in idle time."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aos.gateway.mcp.rpc import Session
from aos.gateway.upstream.outbound import Target

MAX_SESSIONS: Final = 4096
MAX_IDLE_SECONDS: Final = 900


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Whose session it is: no two Tasks share one.

    Attributes:
        tool_uid: of the Tool.
        owner: uid of the Task, or empty for the gateway's own reading of definitions.
    """

    tool_uid: str
    owner: str


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session and how to end it."""

    session: Session
    target: Target
    used_at: float


class Sessions:
    """The open sessions, the least recently used first."""

    def __init__(self, clock: Callable[[], float], max_sessions: int = MAX_SESSIONS) -> None:
        self._clock = clock
        self._max_sessions = max_sessions
        self._open: OrderedDict[SessionKey, OpenSession] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def get(self, key: SessionKey, target: Target) -> Session | None:
        """Return the session of ``key`` if it was opened at the same place with the same credential."""
        found = self._open.get(key)
        if found is None or found.target != target:
            return None
        self._open[key] = OpenSession(found.session, found.target, self._clock())
        self._open.move_to_end(key)
        return found.session

    def put(self, key: SessionKey, session: Session, target: Target) -> list[OpenSession]:
        """Keep a session; return those that are to be ended in its place."""
        ended = [replaced] if (replaced := self._open.pop(key, None)) else []
        self._open[key] = OpenSession(session, target, self._clock())
        while len(self._open) > self._max_sessions:
            ended.append(self._open.popitem(last=False)[1])
        return ended

    def lost(self, key: SessionKey, session: Session) -> None:
        """Forget a session that the tool no longer knows."""
        found = self._open.get(key)
        if found is not None and found.session is session:
            del self._open[key]

    def idle(self) -> list[OpenSession]:
        """Take out, and return, those that were not used for a while."""
        oldest = self._clock() - MAX_IDLE_SECONDS
        ended: list[OpenSession] = []
        while self._open and next(iter(self._open.values())).used_at < oldest:
            ended.append(self._open.popitem(last=False)[1])
        return ended

    def of_owner(self, owner: str) -> list[OpenSession]:
        """Take out, and return, those of one Task."""
        keys = [key for key in self._open if key.owner == owner]
        return [self._open.pop(key) for key in keys]

    def of_tool(self, tool_uid: str) -> list[OpenSession]:
        """Take out, and return, those of one Tool."""
        keys = [key for key in self._open if key.tool_uid == tool_uid]
        return [self._open.pop(key) for key in keys]
