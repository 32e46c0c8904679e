"""What the logs of gateway and CRM say of one Task. Pure: lines in, tables and a verdict out."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from aos.cli.output import Table
from aos.model.approval_request import Verdict

_FINGERPRINT_DIGITS: Final = 8
_PREVIEW: Final = "get_contact"
"""What the example's Tool names as the read that shows a change."""


class _Line(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


LineT = TypeVar("LineT", bound=_Line)


class DecisionLine(_Line):
    """One decision in the gateway's log."""

    task: str
    effect: str
    reason: str
    outcome: str
    action: str
    tool: str = ""
    model: str = ""
    rules: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()

    @property
    def call(self) -> str:
        """What was called."""
        return f"{self.tool or self.model}.{self.action}" if self.tool else f"model {self.model}"


class AccessLine(_Line):
    """One request in the CRM's own log."""

    time: datetime
    method: str
    action: str
    record: str = ""
    status: int
    credential: str
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person said of one held call."""

    action: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Proof:
    """What the two logs say of the Task.

    Attributes:
        decisions: the gateway's, in order.
        accesses: calls of tools that reached the CRM while the Task ran, in order; those of others, too, if there were.
        fingerprint: of the credential that only the gateway holds.
        decided: what people said of the Task's calls.
    """

    decisions: tuple[DecisionLine, ...]
    accesses: tuple[AccessLine, ...]
    fingerprint: str
    decided: tuple[Decided, ...] = ()

    @property
    def allowed(self) -> tuple[DecisionLine, ...]:
        """Calls of tools that were let through."""
        return tuple(line for line in self.decisions if line.tool and line.effect == "Allow")

    @property
    def denied(self) -> tuple[DecisionLine, ...]:
        """Calls of tools that were denied."""
        return tuple(line for line in self.decisions if line.tool and line.effect == "Deny")

    @property
    def flaws(self) -> tuple[str, ...]:
        """What contradicts the promise, as sentences; empty if nothing does."""
        return tuple(self._flaws())

    def _flaws(self) -> Iterator[str]:
        denied = {line.action for line in self.denied} - {line.action for line in self.allowed}
        reached = {line.action for line in self.accesses}
        for action in sorted(denied & reached):
            yield f"{action} was denied and reached the CRM all the same"
        yield from (
            sentence for action, sentence in self._held() if self.made(action) != self.approved(action)
        )
        for line in self.accesses:
            if line.credential != self.fingerprint:
                yield f"{line.action} reached the CRM with {line.credential} and not with the Secret's credential"

    def approved(self, action: str) -> int:
        """How many calls of ``action`` were approved."""
        return self.decided.count(Decided(action, Verdict.APPROVE))

    def made(self, action: str) -> int:
        """How many calls of ``action`` the CRM saw."""
        return sum(line.action == action for line in self.accesses)

    def held_lines(self) -> list[str]:
        """Return what people said of held calls, and what the CRM saw of those."""
        lines = [f"{sentence}." for _, sentence in self._held()]
        if self._previews:
            lines.append(
                f"Reads of the contact by the gateway itself, to show what would change: {self._previews}."
            )
        return lines

    @property
    def _previews(self) -> int:
        """How many reads the CRM saw that the agent did not make."""
        made = Counter(line.action for line in self.accesses)
        return (made - Counter(line.action for line in self.allowed))[_PREVIEW] if self.decided else 0

    def _held(self) -> Iterator[tuple[str, str]]:
        for action, held in sorted(Counter(said.action for said in self.decided).items()):
            said = f"People approved {self.approved(action)} of {held} held calls of {action}"
            yield action, f"{said}, and the CRM's own log shows {self.made(action)}"

    def decision_table(self) -> list[str]:
        """Return the gateway's decisions for people."""
        rows = tuple(
            (line.call, line.effect, line.reason, line.outcome, ", ".join(line.rules + line.approvals) or "-")
            for line in self.decisions
        )
        return Table(headings=("CALL", "DECISION", "REASON", "OUTCOME", "DECIDED BY"), rows=rows).render(None)

    def access_table(self) -> list[str]:
        """Return what the CRM saw, for people."""
        rows = tuple(
            (
                line.action,
                line.record or "-",
                str(line.status),
                line.credential,
                "yes" if line.credential == self.fingerprint else "NO",
            )
            for line in self.accesses
        )
        return Table(
            headings=("ACTION", "CONTACT", "STATUS", "CREDENTIAL", "THE SECRET'S"), rows=rows
        ).render(None)


def fingerprint(token: str) -> str:
    """Return how the CRM's log writes the credential ``token``."""
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()[:_FINGERPRINT_DIGITS]


def decisions(log: str, task: str) -> tuple[DecisionLine, ...]:
    """Return the gateway's decisions on the Task, in order."""
    return tuple(line for line in _parsed(log, DecisionLine) if line.task == task)


def accesses(log: str, since: datetime, until: datetime) -> tuple[AccessLine, ...]:
    """Return the calls of tools in the CRM's log between two moments, in order."""
    return tuple(
        line
        for line in _parsed(log, AccessLine)
        if line.method == "tools/call" and since <= line.time <= until
    )


def _parsed(log: str, model: type[LineT]) -> Iterator[LineT]:
    for text in log.splitlines():
        try:
            yield model.model_validate(json.loads(text))
        except (ValueError, ValidationError):
            continue
