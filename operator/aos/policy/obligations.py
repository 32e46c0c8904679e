"""What an allowed call is held to: the bounds of every policy that bears on it, merged. Pure data."""

from dataclasses import dataclass
from typing import Final

from aos.model.bounds import Budget, Limit
from aos.policy.template import Template

DEFAULT_MAX_DEPTH: Final = 4
DEFAULT_MAX_VISITS: Final = 2
DEFAULT_MAX_IDENTICAL_CALLS: Final = 10
DEFAULT_MAX_CALLS_PER_TASK: Final = 1_000
DEFAULT_LEASE_SECONDS: Final = 600
DEFAULT_DUPLICATE_WINDOW_SECONDS: Final = 0


@dataclass(frozen=True, slots=True)
class PartReference:
    """One named part of one policy object; ``namespace`` is empty for a ClusterPolicy."""

    kind: str
    namespace: str
    name: str
    part: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}, {self.part}"


@dataclass(frozen=True, slots=True)
class BoundLimit:
    """A limit and where it stands; each has counters of its own."""

    reference: PartReference
    limit: Limit
    window_seconds: int


@dataclass(frozen=True, slots=True)
class BoundBudget:
    """A budget and where it stands; ``window_seconds`` is 0 where it covers the whole Task."""

    reference: PartReference
    budget: Budget
    window_seconds: int


@dataclass(frozen=True, slots=True)
class LoopBounds:
    """The lowest bounds of all policies; defaults where none says anything."""

    max_depth: int = DEFAULT_MAX_DEPTH
    max_visits: int = DEFAULT_MAX_VISITS
    max_identical_calls: int = DEFAULT_MAX_IDENTICAL_CALLS
    max_calls_per_task: int = DEFAULT_MAX_CALLS_PER_TASK


@dataclass(frozen=True, slots=True)
class ConflictBounds:
    """The longest spans of all policies (longer is tighter); defaults where none says anything."""

    lease_seconds: int = DEFAULT_LEASE_SECONDS
    duplicate_window_seconds: int = DEFAULT_DUPLICATE_WINDOW_SECONDS


@dataclass(frozen=True, slots=True)
class PatternRule:
    """A data class of a policy's own, and the RE2 expression that finds it."""

    name: str
    regex: str


@dataclass(frozen=True, slots=True)
class DataRules:
    """What may be carried. Equal rules are equal values, so that compiled inspectors can be shared.

    Attributes:
        redact_request: classes that are redacted on the way to the tool or model.
        redact_response: the same, on the way back.
        block_request: classes whose presence refuses the call.
        block_response: classes whose presence withholds the answer.
        patterns: data classes of policies' own; several policies may give one name different expressions.
        projections: one set of kept fields for each projection that matches; a field must be in all of them.
        url_hosts: one tuple of host patterns for each policy that has one; a host must match in all of them.
        max_request_bytes: of the arguments or the model request, as JSON; None where no policy bounds it.
        max_response_bytes: the same, of the answer.
    """

    redact_request: frozenset[str] = frozenset()
    redact_response: frozenset[str] = frozenset()
    block_request: frozenset[str] = frozenset()
    block_response: frozenset[str] = frozenset()
    patterns: frozenset[PatternRule] = frozenset()
    projections: frozenset[frozenset[str]] = frozenset()
    url_hosts: frozenset[frozenset[str]] = frozenset()
    max_request_bytes: int | None = None
    max_response_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Obligations:
    """All that an allowed call is held to.

    Attributes:
        limits: that count this call.
        budgets: that this call spends from.
        loops: bounds on repetition.
        conflicts: spans of leases and of duplicate suppression.
        data: what may be carried.
        record: names the record that the call writes; None where it writes none.
        cost_micro_usd: what the call itself costs, besides tokens.
    """

    limits: tuple[BoundLimit, ...] = ()
    budgets: tuple[BoundBudget, ...] = ()
    loops: LoopBounds = LoopBounds()
    conflicts: ConflictBounds = ConflictBounds()
    data: DataRules = DataRules()
    record: Template | None = None
    cost_micro_usd: int = 0
