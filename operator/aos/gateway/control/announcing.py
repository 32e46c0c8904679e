"""Tells people of refusals, and of writes that were not made again: events on the Agent, few enough to be read."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from aos.gateway.caller import Caller
from aos.gateway.control.control import Announcer
from aos.gateway.refusal import Refused
from aos.kube.events import EventRecorder, EventType, ObjectReference
from aos.model.names import API_VERSION

QUIET_SECONDS: Final = 60.0
"""The same is said of an agent once in this time; how often it happens is in the metrics."""
MAX_REMEMBERED: Final = 10_000
ACTION: Final = "RefuseCall"
ACTION_REPEATED: Final = "AnswerCall"
DUPLICATE_ANSWERED: Final = "DuplicateAnswered"
"""Reason of the event that a write was answered with what an identical one gave."""


class EventAnnouncer:
    """Writes events through a recorder."""

    def __init__(self, recorder: EventRecorder, clock: Callable[[], float] = time.monotonic) -> None:
        self._recorder = recorder
        self._clock = clock
        self._said: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def announce(self, caller: Caller, refused: Refused) -> None:
        """Say it on the Agent, unless the same was said of it a moment ago."""
        self._say(caller, EventType.WARNING, refused.reason.value, ACTION, refused.note)

    def repeated(self, caller: Caller, note: str) -> None:
        """Say it on the Agent, unless the same was said of it a moment ago."""
        self._say(caller, EventType.NORMAL, DUPLICATE_ANSWERED, ACTION_REPEATED, note)

    def _say(self, caller: Caller, kind: EventType, reason: str, action: str, note: str) -> None:
        key = (caller.namespace, caller.agent, reason)
        now = self._clock()
        said_at = self._said.get(key)
        if said_at is not None and now - said_at < QUIET_SECONDS:
            return
        self._said[key] = now
        self._said.move_to_end(key)
        while len(self._said) > MAX_REMEMBERED:
            self._said.popitem(last=False)
        metadata = caller.policy.agent.metadata
        self._recorder.record(
            ObjectReference(
                api_version=API_VERSION,
                kind="Agent",
                name=metadata.name,
                namespace=metadata.namespace,
                uid=metadata.uid,
            ),
            reason=reason,
            action=action,
            note=f"Task {caller.task.metadata.name}: {note}",
            type=kind,
        )


class Announcers:
    """Several as one."""

    def __init__(self, announcers: Sequence[Announcer]) -> None:
        self._announcers = announcers

    def announce(self, caller: Caller, refused: Refused) -> None:
        """Let each say it."""
        for announcer in self._announcers:
            announcer.announce(caller, refused)

    def repeated(self, caller: Caller, note: str) -> None:
        """Let each say it."""
        for announcer in self._announcers:
            announcer.repeated(caller, note)
