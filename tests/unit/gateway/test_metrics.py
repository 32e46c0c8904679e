import pytest

from aos.gateway import metrics
from aos.gateway.metrics import CallLabels, GatewayMetrics, TokenLabels


def call_of(agent: str) -> CallLabels:
    return CallLabels("sales", agent, "tool", "crm", "get_contact", "Allow", "Allowed", "Answered")


def rows_of(shown: str, metric: str) -> list[str]:
    return [line for line in shown.splitlines() if line.startswith(metric + "{")]


def test_agents_and_tools_that_come_without_end_are_counted_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_SERIES", 2)
    counted = GatewayMetrics()
    for number in range(5):
        counted.call(call_of(f"agent-{number}"), 0.1, 0.1)
        counted.tokens(TokenLabels("sales", f"agent-{number}", "default", "prompt"), 10)
        counted.retry(f"sales/tool-{number}")
        counted.findings([f"tool-{number}"], "in")
    counted.call(call_of("agent-0"), 0.1, 0.1)
    shown = counted.exposition().decode()
    counted.close()
    for metric, known, others in (
        ("aos_gateway_calls_total", 2, 3),
        ("aos_gateway_tokens_total", 10, 30),
        ("aos_gateway_retries_total", 1, 3),
        ("aos_gateway_data_findings_total", 1, 3),
    ):
        rows = rows_of(shown, metric)
        assert len(rows) == 3
        assert next(row for row in rows if "agent-0" in row or "tool-0" in row).endswith(f" {known}.0")
        assert next(row for row in rows if "(others)" in row).endswith(f" {others}.0")
