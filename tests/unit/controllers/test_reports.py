from datetime import UTC, datetime

import orjson
import pytest

from aos.audit.head import ChainHead
from aos.audit.signing import HeadSigner
from aos.controllers.reports import MAX_LINE_BYTES, SILENCE_SECONDS, BadLineError, Replica
from aos.controllers.views import Endpoint
from aos.model.conditions import Reason
from aos.reconcile.bounds import ExceededBound
from aos.reconcile.workflow import WebhookReport

SYNCED = b'{"synced":true}'
HEARTBEAT = b'{"heartbeat":true}'


def line(agent: str, digest: str) -> bytes:
    return orjson.dumps({"namespace": "sales", "agent": agent, "digest": digest})


def take(replica: Replica, *lines: bytes, now: float = 1.0) -> set[str]:
    return {agent for item in lines for _, agent in replica.take(item, now)}


@pytest.fixture
def replica() -> Replica:
    one = Replica(Endpoint("gateway-0", "10.0.0.1"))
    one.connected()
    return one


def test_nothing_counts_before_the_replica_has_told_of_every_agent(replica: Replica) -> None:
    assert take(replica, line("a", "d1")) == set()
    report = replica.report("sales", "a", 1)
    assert report.digest == ""
    assert report.problem


def test_once_synced_its_word_counts(replica: Replica) -> None:
    assert take(replica, line("a", "d1"), SYNCED) == {"a"}
    assert replica.report("sales", "a", 1).digest == "d1"
    assert replica.report("sales", "a", 1).problem == ""
    assert replica.report("sales", "unknown", 1).digest == ""


def test_changes_are_told_one_by_one(replica: Replica) -> None:
    take(replica, line("a", "d1"), SYNCED)
    assert take(replica, line("a", "d2")) == {"a"}
    assert replica.report("sales", "a", 1).digest == "d2"
    assert take(replica, line("a", "")) == {"a"}
    assert replica.report("sales", "a", 1).digest == ""


def test_a_silent_replica_does_not_count(replica: Replica) -> None:
    take(replica, line("a", "d1"), SYNCED)
    take(replica, HEARTBEAT, now=100)
    assert replica.report("sales", "a", 100 + SILENCE_SECONDS).digest == "d1"
    assert replica.is_silent(101 + SILENCE_SECONDS)
    assert replica.report("sales", "a", 101 + SILENCE_SECONDS).problem


def test_after_a_new_connection_what_was_known_stays_until_it_is_told_anew(replica: Replica) -> None:
    take(replica, line("a", "d1"), line("b", "d2"), SYNCED)
    replica.connected()
    assert take(replica, line("a", "d9")) == set()
    assert replica.report("sales", "a", 1).digest == "d1"
    assert take(replica, SYNCED) == {"a", "b"}
    assert replica.report("sales", "a", 1).digest == "d9"
    assert replica.report("sales", "b", 1).digest == ""


def test_a_replica_that_was_never_reached_says_so() -> None:
    report = Replica(Endpoint("gateway-0", "10.0.0.1")).report("sales", "a", 0)
    assert report.problem == "it was not reached yet"


@pytest.mark.parametrize(
    "bad",
    [b"{", b"[]", b"7", b'{"digest":1}', b'{"digest":"x"}', b'{"digest":"' + b"x" * MAX_LINE_BYTES + b'"}'],
)
def test_what_is_no_line_is_refused(replica: Replica, bad: bytes) -> None:
    with pytest.raises(BadLineError):
        take(replica, bad)


def test_lines_that_are_not_known_are_passed_over(replica: Replica) -> None:
    assert take(replica, b'{"later":1}', SYNCED) == set()


def test_a_replica_tells_whether_it_can_use_the_store(replica: Replica) -> None:
    take(replica, b'{"store":"ok"}', line("a", "d1"), SYNCED)
    assert replica.report("sales", "a", 1).store_problem == ""
    take(replica, b'{"store":"unavailable","problem":"the disk is full"}')
    assert replica.report("sales", "a", 1).store_problem == "the disk is full"
    assert replica.report("sales", "a", 1).digest == "d1"
    take(replica, b'{"store":"strange"}')
    assert replica.report("sales", "a", 1).store_problem == "strange"
    take(replica, b'{"store":"ok"}')
    assert replica.report("sales", "a", 1).store_problem == ""


def test_a_replica_tells_where_its_audit_chain_stands(replica: Replica) -> None:
    signed = HeadSigner().sign(ChainHead("gateway-0-1", 7, "a" * 64, "2026-01-02T03:04:05Z"))
    take(replica, b'{"auditHead":' + signed.encode() + b"}")
    assert replica.head == signed


def test_a_head_that_is_none_is_no_line_of_a_report(replica: Replica) -> None:
    with pytest.raises(BadLineError, match="a signed head"):
        take(replica, b'{"auditHead":{"chain":"x"}}')


def exceeded(agent: str, **said: str | None) -> bytes:
    bound = {"reason": "BudgetExceeded", "bound": "Policy p, budget dollar", **said} if said else None
    return orjson.dumps({"namespace": "sales", "agent": agent, "exceeded": bound})


def test_a_replica_tells_for_which_bound_it_keeps_refusing_an_agent(replica: Replica) -> None:
    told = exceeded("a", freesAt="2026-01-02T03:04:05Z")
    assert take(replica, told, line("a", "d1"), line("b", "d1"), SYNCED) == {"a", "b"}
    bound = ExceededBound(
        Reason.BUDGET_EXCEEDED, "Policy p, budget dollar", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    )
    assert replica.report("sales", "a", 1).exceeded == bound
    assert replica.report("sales", "b", 1).exceeded is None
    assert take(replica, told) == set()
    assert take(replica, exceeded("b", freesAt=None)) == {"b"}
    assert take(replica, exceeded("a")) == {"a"}
    assert replica.report("sales", "a", 1).exceeded is None
    assert replica.report("sales", "b", 100).exceeded is None, "a silent replica has no say"


def test_what_a_replica_does_not_tell_again_on_a_new_connection_is_over(replica: Replica) -> None:
    take(replica, exceeded("a", freesAt=None), line("a", "d1"), SYNCED)
    replica.connected()
    assert take(replica, line("a", "d1")) == set()
    assert replica.report("sales", "a", 1).exceeded
    assert take(replica, SYNCED) == {"a"}
    assert replica.report("sales", "a", 1).exceeded is None


def test_bounds_of_a_kind_that_is_not_known_are_passed_over(replica: Replica) -> None:
    take(replica, SYNCED)
    assert take(replica, exceeded("a", reason="Later")) == set()
    assert replica.report("sales", "a", 1).exceeded is None


@pytest.mark.parametrize(
    "said",
    [b"7", b"{}", b'{"reason":"CircuitOpen"}']
    + [
        b'{"reason":"CircuitOpen","bound":"x","freesAt":%b}' % moment
        for moment in (b"7", b'"soon"', b'"2026-01-02T03:04:05"')
    ],
)
def test_a_bound_that_is_none_is_no_line_of_a_report(replica: Replica, said: bytes) -> None:
    with pytest.raises(BadLineError):
        take(replica, b'{"namespace":"sales","agent":"a","exceeded":' + said + b"}")


def hooked(webhooks: object, workflow: str = "outreach") -> bytes:
    return orjson.dumps({"namespace": "sales", "workflow": workflow, "webhooks": webhooks})


def test_what_it_says_of_webhooks_counts_once_it_is_synced(replica: Replica) -> None:
    take(replica, hooked({"generation": 2, "problem": "no key"}))
    assert replica.webhook_report("sales", "outreach", 1) is None
    assert replica.stirred() == set()
    take(replica, SYNCED)
    assert replica.webhook_report("sales", "outreach", 1) == WebhookReport(2, "no key")
    assert replica.webhook_report("sales", "outreach", 2 + SILENCE_SECONDS) is None
    assert replica.stirred() == {("sales", "outreach")}
    assert replica.stirred() == set()


def test_only_what_is_new_of_webhooks_stirs(replica: Replica) -> None:
    take(replica, SYNCED, hooked({"generation": 2, "problem": ""}))
    assert replica.stirred() == {("sales", "outreach")}
    take(replica, hooked({"generation": 2, "problem": ""}))
    assert replica.stirred() == set()
    take(replica, hooked(None))
    assert replica.stirred() == {("sales", "outreach")}
    assert replica.webhook_report("sales", "outreach", 1) is None


def test_webhooks_that_a_new_connection_does_not_tell_of_are_forgotten(replica: Replica) -> None:
    take(replica, SYNCED, hooked({"generation": 2, "problem": "no key"}))
    replica.stirred()
    replica.connected()
    assert replica.webhook_report("sales", "outreach", 1) is not None
    take(replica, SYNCED)
    assert replica.webhook_report("sales", "outreach", 1) is None
    assert replica.stirred() == {("sales", "outreach")}


@pytest.mark.parametrize(
    "bad",
    [
        hooked({"generation": "2", "problem": ""}),
        hooked({"generation": 2}),
        hooked("no key"),
        b'{"namespace":"sales","webhooks":null}',
    ],
)
def test_a_line_about_webhooks_that_is_none_is_refused(replica: Replica, bad: bytes) -> None:
    with pytest.raises(BadLineError, match="webhooks"):
        take(replica, bad)
