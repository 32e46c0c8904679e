"""What the gateway counts, as OpenTelemetry instruments that Prometheus reads.

Counters are plain dictionaries that are read when somebody asks: counting must cost next to nothing on each call. For the
same reason the one histogram is no instrument but sums of its own; OpenTelemetry has none that can be asked later.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NamedTuple

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

_BOUNDARIES: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)

MAX_SERIES: Final = 10_000
"""Rows of one metric. Agents and Tools come and go for as long as the gateway runs; of more, all others are one."""
OTHERS: Final = "(others)"

METRICS: Final[Mapping[str, str]] = {
    "aos_gateway_calls_total": "Decided calls by namespace, agent, subject, name, action, effect, reason and outcome.",
    "aos_gateway_call_duration_seconds": "From a call's request to the end of its answer, by subject and effect.",
    "aos_gateway_upstream_seconds_total": "Time spent waiting for tools and models, by subject.",
    "aos_gateway_tokens_total": "Tokens that models counted, by namespace, agent, model and direction.",
    "aos_gateway_refusals_total": "Requests refused before a decision, by code.",
    "aos_gateway_journal_failures_total": "Entries that could not be written.",
    "aos_gateway_admissions_total": "Calls that were let through (Admitted), repeated (Duplicate) or refused, by subject and result.",
    "aos_gateway_data_findings_total": "Calls that held data of a class, or whose answers did, by data class and direction (in, out); of what"
    " policy blocks, the reason of the refusal tells.",
    "aos_gateway_store_seconds_total": "Time spent waiting for the store, by operation.",
    "aos_gateway_store_operations_total": "Operations that the store carried out, by operation.",
    "aos_gateway_store_failures_total": "Operations that the store did not carry out, by operation.",
    "aos_gateway_audit_losses_total": "Rows that could not be written: of refusals, or of outcomes after long trying.",
    "aos_gateway_retries_total": "Calls that were sent once more, by tool.",
    "aos_gateway_approvals_total": "Calls that people are asked about: before (Asked, Released) or after they are made (ReviewAsked,"
    " ReviewFailed), without a preview that they should have (NotPreviewed), or refused, by result.",
    "aos_gateway_approval_release_seconds_total": "Time from the last decision to letting the call through, of all that were.",
    "aos_gateway_pending_approvals": "Calls that wait for people, of all agents.",
    "aos_gateway_waiting_calls": "Of those, calls whose clients wait for the answer here now.",
    "aos_gateway_waiting_pods": "Agents' pods that asked for a Task and wait for one now.",
    "aos_gateway_store_available": "1 if the store can be written, else 0.",
    "aos_gateway_store_pending": "Rows and settlements that wait for the store.",
    "aos_gateway_open_circuits": "Tools, and pairs of agent and Tool, that are left alone now.",
    "aos_gateway_events_dropped": "Events for people that were not written, since the start.",
    "aos_gateway_staleness_seconds": "Age of the oldest knowledge that decisions rest on.",
    "aos_gateway_enforced_agents": "Agents whose effective policy is compiled and enforced.",
}
"""Names and meanings of all metrics; ``docs/gateway.md`` lists them."""


class CallLabels(NamedTuple):
    """What calls are counted by. Names that the cluster does not know are never among them."""

    namespace: str
    agent: str
    subject: str
    name: str
    action: str
    effect: str
    reason: str
    outcome: str


@dataclass(frozen=True, slots=True)
class TokenLabels:
    """What tokens are counted by."""

    namespace: str
    agent: str
    model: str
    direction: str


@dataclass(slots=True)
class _Spread:
    """How durations spread over the buckets: each up to one of the boundaries, the last without one."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDARIES) + 1))
    sum_seconds: float = 0.0


class _Durations(Collector):
    """The histogram of calls' durations, by subject and effect."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._spreads: dict[tuple[str, str], _Spread] = {}

    def record(self, subject: str, effect: str, seconds: float) -> None:
        spread = self._spreads.get((subject, effect))
        if spread is None:
            spread = self._spreads[subject, effect] = _Spread()
        spread.buckets[bisect_left(_BOUNDARIES, seconds)] += 1
        spread.sum_seconds += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, METRICS[self._name], labels=("subject", "effect"))
        bounds = [*(str(boundary) for boundary in _BOUNDARIES), "+Inf"]
        for labels, spread in list(self._spreads.items()):
            counts = zip(bounds, accumulate(spread.buckets), strict=True)
            family.add_metric(labels, list(counts), spread.sum_seconds)
        yield family


class GatewayMetrics:
    """All instruments, on a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        reader = PrometheusMetricReader(
            disable_target_info=True, scope_info_enabled=False, registry=self._registry
        )
        self._provider = MeterProvider(metric_readers=[reader])
        self._calls: Counter[CallLabels] = Counter()
        self._tokens: Counter[TokenLabels] = Counter()
        self._refusals: Counter[str] = Counter()
        self._upstream_seconds: dict[str, float] = {}
        self._journal_failures = 0
        self._admissions: Counter[tuple[str, str]] = Counter()
        self._findings: Counter[tuple[str, str]] = Counter()
        self._store_seconds: dict[str, float] = {}
        self._store_operations: Counter[str] = Counter()
        self._store_failures: Counter[str] = Counter()
        self._retries: Counter[str] = Counter()
        self._approvals: Counter[str] = Counter()
        self._release_seconds = 0.0
        self._audit_losses = 0
        meter = self._provider.get_meter("aos.gateway")
        self._durations = _Durations("aos_gateway_call_duration_seconds")
        self._registry.register(self._durations)
        meter.create_observable_counter("aos_gateway_calls", [self._observe_calls])
        meter.create_observable_counter("aos_gateway_upstream", [self._observe_upstream], unit="s")
        meter.create_observable_counter("aos_gateway_tokens", [self._observe_tokens])
        meter.create_observable_counter("aos_gateway_refusals", [self._observe_refusals])
        meter.create_observable_counter("aos_gateway_journal_failures", [self._observe_failures])
        meter.create_observable_counter("aos_gateway_admissions", [self._observe_admissions])
        meter.create_observable_counter("aos_gateway_data_findings", [self._observe_findings])
        meter.create_observable_counter(
            "aos_gateway_store", [_observer("operation", self._store_seconds)], unit="s"
        )
        meter.create_observable_counter(
            "aos_gateway_store_operations", [_observer("operation", self._store_operations)]
        )
        meter.create_observable_counter(
            "aos_gateway_store_failures", [_observer("operation", self._store_failures)]
        )
        meter.create_observable_counter("aos_gateway_retries", [_observer("tool", self._retries)])
        meter.create_observable_counter("aos_gateway_audit_losses", [self._observe_losses])
        meter.create_observable_counter("aos_gateway_approvals", [_observer("result", self._approvals)])
        meter.create_observable_counter(
            "aos_gateway_approval_release", [self._observe_release_seconds], unit="s"
        )
        self._meter = meter

    def call(self, labels: CallLabels, duration_seconds: float, upstream_seconds: float) -> None:
        """Count one decided call."""
        if labels not in self._calls and len(self._calls) >= MAX_SERIES:
            labels = labels._replace(namespace=OTHERS, agent=OTHERS, name=OTHERS, action=OTHERS)
        self._calls[labels] += 1
        subject = labels.subject
        self._upstream_seconds[subject] = self._upstream_seconds.get(subject, 0.0) + upstream_seconds
        self._durations.record(subject, labels.effect, duration_seconds)

    def tokens(self, labels: TokenLabels, count: int) -> None:
        """Count tokens."""
        if labels not in self._tokens and len(self._tokens) >= MAX_SERIES:
            labels = TokenLabels(OTHERS, OTHERS, OTHERS, labels.direction)
        self._tokens[labels] += count

    def refusal(self, code: str) -> None:
        """Count one refused request."""
        self._refusals[code] += 1

    def journal_failure(self) -> None:
        """Count one entry that could not be written."""
        self._journal_failures += 1

    def admission(self, subject: str, result: str) -> None:
        """Count one call that asked to be let through."""
        self._admissions[subject, result] += 1

    def findings(self, data_classes: Iterable[str], direction: str) -> None:
        """Count one call with data of these classes."""
        for name in data_classes:
            is_one_more = (name, direction) not in self._findings and len(self._findings) >= MAX_SERIES
            self._findings[OTHERS if is_one_more else name, direction] += 1

    def store(self, operation: str, seconds: float) -> None:
        """Count one operation of the store, and how long it took."""
        self._store_operations[operation] += 1
        self._store_seconds[operation] = self._store_seconds.get(operation, 0.0) + seconds

    def store_failure(self, operation: str) -> None:
        """Count one operation that the store did not carry out."""
        self._store_failures[operation] += 1

    def audit_loss(self, rows: int = 1) -> None:
        """Count rows that could not be written."""
        self._audit_losses += rows

    def retry(self, tool: str) -> None:
        """Count one call that is sent once more."""
        is_one_more = tool not in self._retries and len(self._retries) >= MAX_SERIES
        self._retries[OTHERS if is_one_more else tool] += 1

    def approval(self, result: str) -> None:
        """Count what became of a call that needs people's approval."""
        self._approvals[result] += 1

    def released(self, seconds: float) -> None:
        """Count a call that was let through so long after people decided."""
        self.approval("Released")
        self._release_seconds += max(seconds, 0.0)

    def watch(self, name: str, unit: str, read: Callable[[], float]) -> None:
        """Show what ``read`` returns whenever the metrics are asked for."""

        def observe(_: CallbackOptions) -> Iterable[Observation]:
            yield Observation(read())

        self._meter.create_observable_gauge(name, [observe], unit=unit)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def close(self) -> None:
        """End the instruments."""
        self._provider.shutdown()

    def _observe_calls(self, _: CallbackOptions) -> Iterable[Observation]:
        for labels, count in list(self._calls.items()):
            yield Observation(
                count,
                {
                    "namespace": labels.namespace,
                    "agent": labels.agent,
                    "subject": labels.subject,
                    "name": labels.name,
                    "action": labels.action,
                    "effect": labels.effect,
                    "reason": labels.reason,
                    "outcome": labels.outcome,
                },
            )

    def _observe_tokens(self, _: CallbackOptions) -> Iterable[Observation]:
        for labels, count in list(self._tokens.items()):
            yield Observation(
                count,
                {
                    "namespace": labels.namespace,
                    "agent": labels.agent,
                    "model": labels.model,
                    "direction": labels.direction,
                },
            )

    def _observe_upstream(self, _: CallbackOptions) -> Iterable[Observation]:
        for subject, seconds in list(self._upstream_seconds.items()):
            yield Observation(seconds, {"subject": subject})

    def _observe_refusals(self, _: CallbackOptions) -> Iterable[Observation]:
        for code, count in list(self._refusals.items()):
            yield Observation(count, {"code": code})

    def _observe_admissions(self, _: CallbackOptions) -> Iterable[Observation]:
        for (subject, result), count in list(self._admissions.items()):
            yield Observation(count, {"subject": subject, "result": result})

    def _observe_findings(self, _: CallbackOptions) -> Iterable[Observation]:
        for (name, direction), count in list(self._findings.items()):
            yield Observation(count, {"data_class": name, "direction": direction})

    def _observe_release_seconds(self, _: CallbackOptions) -> Iterable[Observation]:
        yield Observation(self._release_seconds)

    def _observe_losses(self, _: CallbackOptions) -> Iterable[Observation]:
        yield Observation(self._audit_losses)

    def _observe_failures(self, _: CallbackOptions) -> Iterable[Observation]:
        yield Observation(self._journal_failures)


def _observer(label: str, counts: Mapping[str, float]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        for name, count in list(counts.items()):
            yield Observation(count, {label: name})

    return observe
