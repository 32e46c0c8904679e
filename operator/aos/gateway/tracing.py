"""Spans to an OpenTelemetry collector: OTLP over HTTP with JSON, if the standard variables name an endpoint."""

import logging
import os
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from pydantic import JsonValue

import aos

EXPORT_TIMEOUT_SECONDS: Final = 5.0

_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_SERVICE: Final = "aos-gateway"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tracing:
    """A tracer, and what is behind it."""

    tracer: trace.Tracer
    provider: TracerProvider | None = None

    def close(self) -> None:
        """Send what was not sent yet."""
        if self.provider is not None:
            self.provider.shutdown()


def tracing_of(environment: Mapping[str, str] = os.environ) -> Tracing:
    """Return the tracer that the environment asks for; one that does nothing if it names no collector.

    ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` is used as it is; ``/v1/traces`` is added to ``OTEL_EXPORTER_OTLP_ENDPOINT``.
    The service's name and attributes come from ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES``.
    """
    base = environment.get(_ENDPOINT, "").rstrip("/")
    url = environment.get(_TRACES_ENDPOINT) or (f"{base}/v1/traces" if base else "")
    if not url:
        return Tracing(trace.NoOpTracer())
    name = environment.get("OTEL_SERVICE_NAME", _SERVICE)
    resource = Resource.create({"service.name": name, "service.version": aos.__version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(JsonSpanExporter(url)))
    return Tracing(provider.get_tracer("aos.gateway"), provider)


class JsonSpanExporter(SpanExporter):
    """Posts spans to a collector. It runs in a thread of the SDK, never in the event loop."""

    def __init__(self, url: str) -> None:
        """Make an exporter.

        Raises:
            ValueError: the URL is not of HTTP.
        """
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is not an http or https URL")
        self._url = url

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, once: a collector that is not there must not make the gateway keep them."""
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            self._url,
            data=orjson.dumps(encoded(spans)),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=EXPORT_TIMEOUT_SECONDS):  # noqa: S310 - as above
                return SpanExportResult.SUCCESS
        except (urllib.error.URLError, OSError) as error:
            _log.warning("%d spans were not sent to %s: %s", len(spans), self._url, error)
            return SpanExportResult.FAILURE


def encoded(spans: Sequence[ReadableSpan]) -> dict[str, JsonValue]:
    """Return spans of one process as OTLP's JSON (opentelemetry-proto, ExportTraceServiceRequest)."""
    if not spans:
        return {"resourceSpans": []}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(spans[0].resource.attributes)},
                "scopeSpans": [{"scope": {"name": "aos.gateway"}, "spans": [_span(span) for span in spans]}],
            }
        ]
    }


def _span(span: ReadableSpan) -> dict[str, JsonValue]:
    context = span.get_span_context()
    return {
        "traceId": trace.format_trace_id(context.trace_id if context else 0),
        "spanId": trace.format_span_id(context.span_id if context else 0),
        "name": span.name,
        "kind": span.kind.value + 1,
        "startTimeUnixNano": str(span.start_time or 0),
        "endTimeUnixNano": str(span.end_time or 0),
        "attributes": _attributes(span.attributes or {}),
    }


def _attributes(attributes: Mapping[str, object]) -> list[JsonValue]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: object) -> dict[str, JsonValue]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list() | tuple():
            return {"arrayValue": {"values": [_value(item) for item in value]}}
        case _:
            return {"stringValue": str(value)}
