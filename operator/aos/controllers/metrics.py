"""The operator's metrics, by OpenTelemetry and shown for Prometheus; one set for each running operator."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest

from aos.controllers.keys import Subject

METRICS: Final = {
    "aos_operator_reconciles_total": "Reconciles, by kind and result (ok, error).",
    "aos_operator_api_writes_total": "Requests that write to the API server, by verb and kind of object.",
    "aos_operator_queue_keys": "Keys that wait for a worker.",
    "aos_operator_queue_retries_total": "Keys that failed and come back later.",
    "aos_operator_queue_wait_seconds": "Wait of a key from being ready to its worker.",
    "aos_operator_reconcile_seconds": "Duration of one reconcile.",
    "aos_operator_leader": "1 while this replica leads, else 0.",
    "aos_operator_guarded": "1 while the admission policies that guard agent identities are in place, else 0.",
    "aos_operator_objects": "Objects in the caches, by kind.",
    "aos_operator_gateways": "Ready gateway replicas, by state (ready, reporting).",
    "aos_operator_runs": "WorkflowRuns, by state (Pending, Running, Succeeded, Failed).",
    "aos_operator_approvals": "ApprovalRequests, by state.",
    "aos_operator_approvals_enforced": "1 while the admission policies that keep decisions honest are in place, else 0.",
    "aos_operator_approval_decision_seconds": "Time from a request for approval until it was approved or rejected.",
    "aos_operator_notices_total": "Notices of requests for approval, by webhook and result (ok, error); an error is tried again.",
    "aos_operator_anchor_copies_total": "Copies of anchors of the audit trail, by place (file, otlp) and result (ok, error); an error is tried again.",
    "aos_operator_events_lost_total": "Events for people that the API server did not take.",
}
"""Every metric, and what it measures."""

_DECISION_BUCKETS: Final = (1, 5, 15, 60, 300, 900, 3600, 14_400, 43_200, 86_400, 604_800)
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Gauges:
    """Where values are read that the operator does not count itself."""

    is_leader: Callable[[], bool]
    is_guarded: Callable[[], bool]
    objects: Callable[[], dict[str, int]]
    approvals: Callable[[], dict[str, int]]
    runs: Callable[[], dict[str, int]]
    gateways: Callable[[], tuple[int, int]]
    events_lost: Callable[[], int]


class OperatorMetrics:
    """Counts what happens; also hears the work queue."""

    def __init__(self, gauges: Gauges) -> None:
        """Begin at zero."""
        self._registry = CollectorRegistry()
        reader = PrometheusMetricReader(
            disable_target_info=True, scope_info_enabled=False, registry=self._registry
        )
        self._provider = MeterProvider([reader], resource=Resource.get_empty())
        meter = self._provider.get_meter("aos.operator")
        self._reconciles = meter.create_counter(
            "aos_operator_reconciles", description=METRICS["aos_operator_reconciles_total"]
        )
        self._writes = meter.create_counter(
            "aos_operator_api_writes", description=METRICS["aos_operator_api_writes_total"]
        )
        self._retries = meter.create_counter(
            "aos_operator_queue_retries", description=METRICS["aos_operator_queue_retries_total"]
        )
        self._waits = meter.create_histogram(
            "aos_operator_queue_wait_seconds",
            description=METRICS["aos_operator_queue_wait_seconds"],
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self._durations = meter.create_histogram(
            "aos_operator_reconcile_seconds",
            description=METRICS["aos_operator_reconcile_seconds"],
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self._decisions = meter.create_histogram(
            "aos_operator_approval_decision_seconds",
            description=METRICS["aos_operator_approval_decision_seconds"],
            explicit_bucket_boundaries_advisory=_DECISION_BUCKETS,
        )
        self._notices = meter.create_counter(
            "aos_operator_notices", description=METRICS["aos_operator_notices_total"]
        )
        self._anchor_copies = meter.create_counter(
            "aos_operator_anchor_copies", description=METRICS["aos_operator_anchor_copies_total"]
        )
        self._keys = 0
        for name, read in _gauges(gauges, lambda: self._keys).items():
            meter.create_observable_gauge(name, [read], description=METRICS[name])
        meter.create_observable_counter(
            "aos_operator_events_lost",
            [lambda _: [Observation(gauges.events_lost())]],
            description=METRICS["aos_operator_events_lost_total"],
        )

    def exposition(self) -> bytes:
        """Return all metrics as Prometheus reads them."""
        return generate_latest(self._registry)

    def close(self) -> None:
        """Stop collecting."""
        self._provider.shutdown()

    def reconciled(self, subject: Subject, *, failed: bool) -> None:
        """Count one reconcile."""
        self._reconciles.add(1, {"kind": subject.value, "result": "error" if failed else "ok"})

    def wrote(self, verb: str, kind: str) -> None:
        """Count one request that writes."""
        self._writes.add(1, {"verb": verb, "kind": kind})

    def decided(self, seconds: float) -> None:
        """Take note of how long people took over a request."""
        self._decisions.record(seconds)

    def notified(self, webhook: str, *, failed: bool) -> None:
        """Count one notice that was sent, or was not taken."""
        self._notices.add(1, {"webhook": webhook, "result": "error" if failed else "ok"})

    def anchors_copied(self, to: str, *, failed: bool) -> None:
        """Count anchors that were copied to a place, or were not taken there."""
        self._anchor_copies.add(1, {"to": to, "result": "error" if failed else "ok"})

    def depth(self, keys: int) -> None:
        """Take note of how many keys wait."""
        self._keys = keys

    def added(self) -> None:
        """Do nothing: what was asked for twice is reconciled once."""

    def retried(self) -> None:
        """Count a key that comes back."""
        self._retries.add(1)

    def waited(self, seconds: float) -> None:
        """Take note of a key's wait."""
        self._waits.record(seconds)

    def worked(self, seconds: float, *, failed: bool) -> None:
        """Take note of a key's processing."""
        self._durations.record(seconds, {"result": "error" if failed else "ok"})


_Read = Callable[[CallbackOptions], Iterable[Observation]]


def _gauges(gauges: Gauges, keys: Callable[[], int]) -> dict[str, _Read]:
    def objects(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, {"kind": kind}) for kind, count in gauges.objects().items()]

    def approvals(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, {"state": state}) for state, count in gauges.approvals().items()]

    def runs(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, {"state": state}) for state, count in gauges.runs().items()]

    def gateways(_: CallbackOptions) -> Iterable[Observation]:
        ready, reporting = gauges.gateways()
        return [
            Observation(ready, {"state": "ready"}),
            Observation(reporting, {"state": "reporting"}),
        ]

    return {
        "aos_operator_queue_keys": lambda _: [Observation(keys())],
        "aos_operator_leader": lambda _: [Observation(int(gauges.is_leader()))],
        "aos_operator_guarded": lambda _: [Observation(int(gauges.is_guarded()))],
        "aos_operator_approvals": approvals,
        "aos_operator_runs": runs,
        "aos_operator_approvals_enforced": lambda _: [Observation(int(gauges.is_guarded()))],
        "aos_operator_objects": objects,
        "aos_operator_gateways": gateways,
    }
