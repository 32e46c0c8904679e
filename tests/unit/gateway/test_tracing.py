import asyncio
import json

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from aos.gateway.http import HttpRequest, Receive, Scope, Send, send_json
from aos.gateway.tracing import JsonSpanExporter, encoded, tracing_of
from tests.unit.gateway.serving import connection, serving


def test_without_a_collector_no_span_is_made() -> None:
    tracing = tracing_of({})
    assert not tracing.tracer.start_span("a").is_recording()
    tracing.close()


def test_spans_are_written_as_the_protocol_says() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "aos-gateway"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    span = provider.get_tracer("a").start_span("call", start_time=1_000)
    span.set_attributes({"a": "b", "n": 1, "f": 0.5, "t": True, "l": ["x"]})
    span.end(2_000)
    body = json.loads(json.dumps(encoded(kept.get_finished_spans())))
    provider.shutdown()
    resource = body["resourceSpans"][0]
    assert resource["resource"]["attributes"] == [
        {"key": "service.name", "value": {"stringValue": "aos-gateway"}}
    ]
    (written,) = resource["scopeSpans"][0]["spans"]
    assert (len(written["traceId"]), len(written["spanId"])) == (32, 16)
    assert (written["startTimeUnixNano"], written["endTimeUnixNano"]) == ("1000", "2000")
    assert written["attributes"] == [
        {"key": "a", "value": {"stringValue": "b"}},
        {"key": "n", "value": {"intValue": "1"}},
        {"key": "f", "value": {"doubleValue": 0.5}},
        {"key": "t", "value": {"boolValue": True}},
        {"key": "l", "value": {"arrayValue": {"values": [{"stringValue": "x"}]}}},
    ]
    assert encoded(()) == {"resourceSpans": []}


async def test_spans_reach_the_collector_that_the_environment_names() -> None:
    received: list[tuple[str, dict[str, object]]] = []

    async def collector(scope: Scope, receive: Receive, send: Send) -> None:
        request = HttpRequest(scope, receive, max_body_bytes=100_000, timeout_seconds=5)
        received.append((request.path, json.loads(await request.body())))
        await send_json(send, {})

    async with serving(collector) as port:
        async with connection(port):
            pass
        tracing = tracing_of({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port.port}/"})
        tracing.tracer.start_span("call").end()
        await asyncio.to_thread(tracing.close)
    assert [path for path, _ in received] == ["/v1/traces"]


def test_a_collector_that_is_not_there_is_no_fault() -> None:
    assert JsonSpanExporter("http://127.0.0.1:9").export(()) is SpanExportResult.FAILURE


def test_a_collector_is_spoken_to_over_http_only() -> None:
    with pytest.raises(ValueError, match="http"):
        tracing_of({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "file:///etc/passwd"})
