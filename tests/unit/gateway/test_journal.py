import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import JsonValue

from aos.gateway.journal import (
    MAX_REFUSAL_LINES_PER_SECOND,
    CallOutcome,
    Entry,
    Journal,
    Subject,
    arguments_digest,
)
from aos.gateway.lines import LineWriter
from aos.gateway.metrics import METRICS, GatewayMetrics
from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.usage import Usage
from aos.kube.objects import text
from aos.model.agent import Agent
from aos.model.tool import Tool
from aos.policy.decision import DecisionReason, Effect
from aos.policy.effective import PolicyInputs, RuleReference, effective_policy
from tests.unit.gateway.make import TASK_UID, caller, raw_agent, raw_tool

POLICY = effective_policy(
    PolicyInputs(
        agent=Agent.parse(raw_agent(model={"name": "default"})),
        namespace_labels={},
        tools={"crm": Tool.parse(raw_tool())},
        policies=(),
    )
)
ENTRY = Entry(
    caller=replace(caller(), policy=POLICY),
    subject=Subject.TOOL,
    name="crm",
    action="get_contact",
    effect=Effect.ALLOW,
    reason=DecisionReason.ALLOWED,
    outcome=CallOutcome.ANSWERED,
    duration_seconds=0.25,
    rules=(RuleReference("Policy", "baseline", "read"),),
    arguments_digest=arguments_digest({"id": "7"}),
    upstream_seconds=0.2,
)
DENIED = replace(
    ENTRY, effect=Effect.DENY, reason=DecisionReason.NOT_ALLOWED, outcome=CallOutcome.REFUSED, rules=()
)


class Kept:
    """A journal and everything that it wrote."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self.lines: list[bytes] = []
        self.usage = Usage()
        self.metrics = GatewayMetrics()
        self.journal = Journal(self.usage, self.metrics, self.lines.append, self.provider.get_tracer("tests"))

    @property
    def line(self) -> dict[str, JsonValue]:
        (line,) = self.lines
        assert line.endswith(b"\n")
        value = orjson.loads(line)
        assert isinstance(value, dict)
        return value


@pytest.fixture
def kept() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.provider.shutdown()
    kept.metrics.close()


def test_a_decision_is_one_line(kept: Kept) -> None:
    kept.journal.record(ENTRY)
    line = kept.line
    assert text(line, "time").endswith("Z")
    assert {name: value for name, value in line.items() if name != "time"} == {
        "kind": "decision",
        "namespace": "sales",
        "agent": "enricher",
        "task": "t1",
        "pod": "t1-pod",
        "podUid": "pod-uid",
        "revision": "enricher-1",
        "tool": "crm",
        "action": "get_contact",
        "effect": "Allow",
        "reason": "Allowed",
        "rules": ["Policy/baseline/read"],
        "policy": POLICY.digest,
        "outcome": "Answered",
        "durationSeconds": 0.25,
        "upstreamSeconds": 0.2,
        "arguments": ENTRY.arguments_digest,
    }


def test_a_decision_is_one_span_that_lasted_as_long_as_the_call(kept: Kept) -> None:
    kept.journal.record(ENTRY)
    (span,) = kept.spans.get_finished_spans()
    assert span.name == "aos.gateway.tool"
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == 250_000_000
    assert span.attributes is not None
    assert span.attributes["aos.effect"] == "Allow"
    assert span.attributes["aos.rules"] == ("Policy baseline, rule read",)


def test_decisions_count_for_the_task(kept: Kept) -> None:
    kept.journal.record(ENTRY)
    kept.journal.record(DENIED)
    asked = replace(ENTRY, subject=Subject.MODEL, name="default", prompt_tokens=30, completion_tokens=4)
    kept.journal.record(asked)
    usage = kept.usage.of(TASK_UID)
    assert (usage.calls, usage.denied, usage.prompt_tokens, usage.completion_tokens) == (2, 1, 30, 4)
    kept.usage.drop(TASK_UID)
    assert kept.usage.of(TASK_UID).calls == 0


def test_metrics_count_decisions_by_what_the_cluster_knows(kept: Kept) -> None:
    kept.journal.record(ENTRY)
    kept.journal.record(replace(DENIED, name="made-up-1", action="x"))
    kept.journal.record(replace(DENIED, name="made-up-2", action="y"))
    asked = replace(ENTRY, subject=Subject.MODEL, name="default", prompt_tokens=30)
    kept.journal.record(asked)
    kept.journal.record(replace(asked, name="made-up-3", prompt_tokens=0))
    shown = kept.metrics.exposition().decode()
    assert "made-up" not in shown
    calls = [line for line in shown.splitlines() if line.startswith("aos_gateway_calls_total{")]
    assert len(calls) == 4
    denied = [line for line in calls if 'effect="Deny"' in line]
    assert len(denied) == 1
    assert denied[0].endswith(" 2.0")
    assert 'aos_gateway_tokens_total{agent="enricher",direction="prompt",model="default"' in shown


def test_a_handoff_names_its_delegate_and_is_counted_by_it_once_it_is_allowed(kept: Kept) -> None:
    handed = replace(ENTRY, subject=Subject.AGENT, name="writer", action="message/send")
    kept.journal.record(handed)
    kept.journal.record(replace(handed, name="made-up", effect=Effect.DENY))
    shown = kept.metrics.exposition().decode()
    assert 'name="writer"' in shown
    assert "made-up" not in shown
    first = orjson.loads(kept.lines[0])
    assert (first["agent"], first["delegate"]) == ("enricher", "writer")


def test_every_metric_is_documented_and_every_documented_metric_is_shown(kept: Kept) -> None:
    kept.journal.record(replace(ENTRY, prompt_tokens=1))
    kept.journal.refused(Refusal(404, RefusalCode.NOT_FOUND, "nothing"), "10.0.0.7")
    kept.metrics.admission("tool", "Admitted")
    kept.metrics.findings(["pii"], "in")
    kept.metrics.store("admit", 0.002)
    kept.metrics.store_failure("admit")
    kept.metrics.audit_loss()
    kept.metrics.retry("crm")
    kept.metrics.watch("aos_gateway_staleness", "s", lambda: 1.5)
    kept.metrics.released(0.5)
    for gauge in (
        "enforced_agents",
        "store_available",
        "store_pending",
        "open_circuits",
        "events_dropped",
        "pending_approvals",
        "waiting_calls",
        "waiting_pods",
    ):
        kept.metrics.watch(f"aos_gateway_{gauge}", "", lambda: 2)
    shown = {
        line.split()[2]
        for line in kept.metrics.exposition().decode().splitlines()
        if line.startswith("# TYPE")
    }
    assert shown == set(METRICS)


def test_a_refused_request_is_a_line_without_the_message(kept: Kept) -> None:
    kept.journal.refused(Refusal(403, RefusalCode.ADDRESS_MISMATCH, "hunter2"), "10.0.0.7")
    assert {name: value for name, value in kept.line.items() if name != "time"} == {
        "kind": "refusal",
        "code": "AddressMismatch",
        "status": 403,
        "client": "10.0.0.7",
    }


def test_a_flood_of_refused_requests_is_counted_and_not_written(kept: Kept) -> None:
    refusal = Refusal(401, RefusalCode.NO_TOKEN, "")
    for _ in range(1000):
        kept.journal.refused(refusal, "10.0.0.7")
    assert len(kept.lines) < 10 * MAX_REFUSAL_LINES_PER_SECOND
    assert b'aos_gateway_refusals_total{code="NoToken"} 1000.0' in kept.metrics.exposition()


def test_names_without_end_are_cut(kept: Kept) -> None:
    kept.journal.record(replace(DENIED, name="a" * 10_000, action="b" * 10_000))
    assert len(kept.lines[0]) < 2000


def test_a_record_that_can_not_be_written_is_counted_and_raises_nothing() -> None:
    def fail(line: bytes) -> None:
        raise OSError("the disk is full")

    metrics = GatewayMetrics()
    Journal(Usage(), metrics, fail, trace.NoOpTracer()).record(ENTRY)
    assert b"aos_gateway_journal_failures_total 1.0" in metrics.exposition()
    metrics.close()


keys = st.text(st.characters(codec="ascii"), max_size=4)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    | keys,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(keys, children, max_size=3),
    max_leaves=10,
)


@given(
    st.dictionaries(keys | st.text(st.characters(exclude_categories=["Cs"]), max_size=3), values, max_size=4)
)
def test_the_digest_of_arguments_is_that_of_their_canonical_form(arguments: dict[str, JsonValue]) -> None:
    expected = hashlib.sha256(rfc8785.dumps(arguments)).hexdigest()
    assert arguments_digest(arguments) == f"sha256:{expected}"


async def test_lines_of_one_turn_are_written_at_once_and_in_order() -> None:
    import asyncio

    reading, writing = os.pipe()
    try:
        writer = LineWriter(writing)
        for number in range(3):
            writer.write(b"%d\n" % number)
        await asyncio.sleep(0)
        assert os.read(reading, 100) == b"0\n1\n2\n"
        writer.write(b"3\n")
        writer.flush()
        assert os.read(reading, 100) == b"3\n"
    finally:
        os.close(reading)
        os.close(writing)


async def test_lines_that_can_not_be_written_are_told_and_dropped() -> None:
    failures: list[None] = []
    writer = LineWriter(-1, lambda: failures.append(None))
    writer.write(b"lost\n")
    writer.flush()
    writer.flush()
    assert len(failures) == 1
