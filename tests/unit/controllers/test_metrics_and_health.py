import aiohttp

from aos.controllers.health import health_server
from aos.controllers.keys import Subject
from aos.controllers.metrics import METRICS, Gauges, OperatorMetrics

GAUGES = Gauges(
    is_leader=lambda: True,
    is_guarded=lambda: False,
    objects=lambda: {"Agent": 3},
    approvals=lambda: {"Pending": 7},
    runs=lambda: {"Running": 6},
    gateways=lambda: (2, 1),
    events_lost=lambda: 4,
)


def lines(metrics: OperatorMetrics) -> dict[str, float]:
    shown = metrics.exposition().decode().splitlines()
    pairs = (line.rpartition(" ") for line in shown if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def test_everything_that_is_counted_is_shown_and_documented() -> None:
    metrics = OperatorMetrics(GAUGES)
    metrics.reconciled(Subject.AGENT, failed=False)
    metrics.reconciled(Subject.TASK, failed=True)
    metrics.wrote("apply", "Secret")
    metrics.depth(5)
    metrics.added()
    metrics.retried()
    metrics.waited(0.1)
    metrics.decided(90)
    metrics.notified("sales-slack", failed=True)
    metrics.anchors_copied("otlp", failed=True)
    metrics.worked(0.2, failed=False)
    shown = lines(metrics)
    assert shown['aos_operator_reconciles_total{kind="Agent",result="ok"}'] == 1
    assert shown['aos_operator_reconciles_total{kind="Task",result="error"}'] == 1
    assert shown['aos_operator_api_writes_total{kind="Secret",verb="apply"}'] == 1
    assert shown["aos_operator_queue_keys"] == 5
    assert shown["aos_operator_leader"] == 1
    assert shown["aos_operator_guarded"] == 0
    assert shown['aos_operator_objects{kind="Agent"}'] == 3
    assert shown['aos_operator_gateways{state="reporting"}'] == 1
    assert shown['aos_operator_approvals{state="Pending"}'] == 7
    assert shown['aos_operator_runs{state="Running"}'] == 6
    assert shown["aos_operator_approvals_enforced"] == 0
    assert shown['aos_operator_approval_decision_seconds_bucket{le="300"}'] == 1
    assert shown['aos_operator_notices_total{result="error",webhook="sales-slack"}'] == 1
    assert shown['aos_operator_anchor_copies_total{result="error",to="otlp"}'] == 1
    assert shown["aos_operator_events_lost_total"] == 4
    assert shown["aos_operator_queue_wait_seconds_count"] == 1
    names = {name.partition("{")[0] for name in shown}
    families = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in names}
    assert families == set(METRICS)
    metrics.close()


def test_two_operators_in_one_process_count_apart() -> None:
    one, other = OperatorMetrics(GAUGES), OperatorMetrics(GAUGES)
    one.retried()
    assert lines(one)["aos_operator_queue_retries_total"] == 1
    assert "aos_operator_queue_retries_total" not in lines(other)
    one.close()
    other.close()


async def test_probes_say_what_is_wrong() -> None:
    problems = {"sick": "", "unready": "agents not listed yet"}
    metrics = OperatorMetrics(GAUGES)
    async with (
        health_server(
            "127.0.0.1",
            0,
            sick=lambda: problems["sick"],
            unready=lambda: problems["unready"],
            metrics=metrics,
        ) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        async with session.get("/healthz") as response:
            assert (response.status, await response.text()) == (200, "ok\n")
        async with session.get("/readyz") as response:
            assert (response.status, await response.text()) == (503, "agents not listed yet\n")
        async with session.get("/metrics") as response:
            assert response.status == 200
            assert "aos_operator_leader 1.0" in await response.text()
    metrics.close()
