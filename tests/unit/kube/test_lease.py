"""Decisions about a lease, and electors whose API server fails on command; two on a real one are in tests/cluster."""

import asyncio
from collections.abc import Mapping

import pytest
from pydantic import JsonValue

from aos.kube.errors import AlreadyExists, Conflict, NotFound, Target, Unavailable
from aos.kube.lease import (
    LEASE_SECONDS,
    RENEW_DEADLINE_SECONDS,
    RETRY_SECONDS,
    LeaderElector,
    LeaseLostError,
    LeaseRecord,
    Observation,
    Step,
    decide,
    observe,
    unique_identity,
)
from aos.kube.objects import child, resource_version_of, text
from aos.kube.resources import Resource
from aos.model.base import JsonObject
from tests.unit.kube.fakes import FakeClock, settle

FAILOVER_SECONDS = 20


def record(holder: str = "other", renewed: str = "t1", lease_seconds: int = 15) -> LeaseRecord:
    return LeaseRecord(holder, lease_seconds, "t0", renewed, 3, "7")


@pytest.mark.parametrize(
    ("observed", "now", "step"),
    [
        (None, 0, Step.CREATE),
        (Observation(record("me"), 0), 0, Step.RENEW),
        (Observation(record("me"), 0), 1000, Step.RENEW),
        (Observation(record(""), 0), 0, Step.TAKE),  # given back
        (Observation(record("other"), 100), 100, Step.WAIT),
        (Observation(record("other"), 100), 114.9, Step.WAIT),
        (Observation(record("other"), 100), 115, Step.TAKE),
        (
            Observation(record("other", lease_seconds=60), 100),
            159,
            Step.WAIT,
        ),  # the holder's own claim counts
        (Observation(record("other", lease_seconds=0), 100), 114, Step.WAIT),  # none is ours
        (Observation(record("other", lease_seconds=0), 100), 115, Step.TAKE),
    ],
)
def test_a_lease_is_taken_only_when_it_is_free_by_the_own_clock(
    observed: Observation | None, now: float, step: Step
) -> None:
    assert decide(observed, "me", now) is step


def test_time_runs_from_the_last_change_that_was_seen() -> None:
    first = observe(None, record(renewed="t1"), 100)
    same = observe(first, record(renewed="t1"), 110)
    assert same is first
    assert observe(same, record(renewed="t2"), 112).since == 112


@pytest.mark.parametrize("renewed", ["1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z", "", "x"])
def test_a_remote_clock_is_never_read(renewed: str) -> None:
    assert decide(observe(None, record(renewed=renewed), 100), "me", 100) is Step.WAIT


def test_identities_are_unique() -> None:
    assert len({unique_identity() for _ in range(100)}) == 100


TARGET = Target("patch", "leases")


class Server:
    """One Lease with the API server's optimistic lock; each replica may be cut off, or left without answer."""

    def __init__(self) -> None:
        self.lease: JsonObject | None = None
        self.version = 0

    def holder(self) -> str:
        return text(child(self.lease or {}, "spec"), "holderIdentity")

    def store(self, lease: JsonObject) -> JsonObject:
        self.version += 1
        self.lease = {**lease, "metadata": {**child(lease, "metadata"), "resourceVersion": str(self.version)}}
        return self.lease


class Connection:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.is_cut = False
        self.hangs = False

    async def _pass(self) -> None:
        await asyncio.sleep(0)
        if self.hangs:
            await asyncio.Event().wait()
        if self.is_cut:
            raise Unavailable(TARGET, 0, "ClientConnectorError", "refused")

    async def get(self, resource: Resource, name: str, namespace: str = "") -> JsonObject:
        await self._pass()
        if self.server.lease is None:
            raise NotFound(TARGET, 404, "NotFound", "no lease")
        return self.server.lease

    async def create(self, resource: Resource, manifest: Mapping[str, JsonValue]) -> JsonObject:
        await self._pass()
        if self.server.lease is not None:
            raise AlreadyExists(TARGET, 409, "AlreadyExists", "exists")
        return self.server.store(dict(manifest))

    async def merge_patch(
        self, resource: Resource, name: str, patch: Mapping[str, JsonValue], *, namespace: str = ""
    ) -> JsonObject:
        await self._pass()
        lease = self.server.lease
        if lease is None:
            raise NotFound(TARGET, 404, "NotFound", "no lease")
        if resource_version_of(patch) != resource_version_of(lease):
            raise Conflict(TARGET, 409, "Conflict", "changed")
        return self.server.store({**lease, "spec": {**child(lease, "spec"), **child(patch, "spec")}})


class Replica:
    def __init__(self, server: Server, clock: FakeClock, name: str) -> None:
        self.connection = Connection(server)
        self.heard: list[str] = []
        self.finish = asyncio.Event()
        self.elector = LeaderElector(
            self.connection,
            namespace="aos",
            name="aos-operator",
            identity=name,
            on_lost=lambda: self.heard.append("lost"),
            clock=clock,
        )
        self.running = asyncio.create_task(self.elector.run(self.lead))

    async def lead(self) -> None:
        self.heard.append("lead")
        try:
            await self.finish.wait()
        except asyncio.CancelledError:
            self.heard.append("cancelled")
            raise

    async def stop(self) -> None:
        self.running.cancel()
        await settle()


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.server = Server()

    def replica(self, name: str) -> Replica:
        return Replica(self.server, self.clock, name)


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_the_first_replica_leads_and_the_others_wait(bench: Bench) -> None:
    a = bench.replica("a")
    await settle()
    b = bench.replica("b")
    await bench.clock.advance(120)
    assert (a.heard, b.heard) == (["lead"], [])
    assert (a.elector.is_leader, b.elector.is_leader) == (True, False)
    assert b.elector.leader == "a"
    for replica in (b, a):
        await replica.stop()


async def test_replicas_that_start_at_once_agree_on_one(bench: Bench) -> None:
    replicas = [bench.replica(name) for name in "abcde"]
    await bench.clock.advance(60)
    assert sorted(replica.heard for replica in replicas) == [[], [], [], [], ["lead"]]
    for replica in replicas:
        await replica.stop()


async def test_a_leader_that_stops_gives_the_lease_back_and_another_leads_soon(bench: Bench) -> None:
    a = bench.replica("a")
    await settle()
    b = bench.replica("b")
    await bench.clock.advance(7)
    await a.stop()
    assert (a.heard, bench.server.holder()) == (["lead", "cancelled"], "")
    assert a.running.cancelled()
    await bench.clock.advance(RETRY_SECONDS)
    assert (b.heard, bench.server.holder()) == (["lead"], "b")
    await b.stop()


async def test_work_that_ends_by_itself_gives_the_lease_back(bench: Bench) -> None:
    a = bench.replica("a")
    await settle()
    a.finish.set()
    await settle()
    assert a.running.done()
    assert a.running.exception() is None
    assert (bench.server.holder(), bench.clock.pending) == ("", 0)


async def test_work_that_fails_gives_the_lease_back_and_passes_its_error_on(bench: Bench) -> None:
    async def fail() -> None:
        raise ValueError("broken")

    elector = LeaderElector(Connection(bench.server), namespace="aos", name="aos-operator", clock=bench.clock)
    with pytest.raises(ValueError, match="broken"):
        await elector.run(fail)
    assert bench.server.holder() == ""
    assert not elector.is_leader


@pytest.mark.parametrize("trouble", ["cut", "hangs"])
async def test_a_leader_without_api_server_stops_before_another_starts(bench: Bench, trouble: str) -> None:
    a = bench.replica("a")
    await settle()
    b = bench.replica("b")
    await bench.clock.advance(7)
    a.connection.is_cut, a.connection.hangs = trouble == "cut", trouble == "hangs"
    waited = 0.0
    while not b.heard:
        assert not (a.elector.is_leader and b.elector.is_leader)
        await bench.clock.advance(0.5)
        waited += 0.5
    assert a.heard == ["lead", "lost", "cancelled"]
    assert isinstance(a.running.exception(), LeaseLostError)
    assert "could not be renewed for 10 s" in str(a.running.exception())
    assert waited < FAILOVER_SECONDS
    await b.stop()


async def test_a_leader_that_is_killed_is_followed_in_time(bench: Bench) -> None:
    for seed in range(8):
        bench = Bench()
        a = bench.replica("a")
        await settle()
        b = bench.replica("b")
        await bench.clock.advance(7 + seed / 4)
        a.connection.is_cut = True
        a.running.cancel()
        await bench.clock.advance(LEASE_SECONDS + 2 * RETRY_SECONDS)
        assert b.heard == ["lead"]
        assert LEASE_SECONDS + 2 * RETRY_SECONDS < FAILOVER_SECONDS
        await b.stop()


async def test_a_leader_rides_out_a_short_outage(bench: Bench) -> None:
    a = bench.replica("a")
    await bench.clock.advance(7)
    a.connection.hangs = True
    await bench.clock.advance(RENEW_DEADLINE_SECONDS - 2 * RETRY_SECONDS)
    a.connection.hangs = False
    await bench.clock.advance(60)
    assert a.heard == ["lead"]
    await a.stop()


@pytest.mark.parametrize(("holder", "told"), [("thief", "its holder is thief"), ("", "nobody holds it")])
async def test_a_leader_whose_lease_is_anothers_stops_at_once(bench: Bench, holder: str, told: str) -> None:
    a = bench.replica("a")
    await bench.clock.advance(7)
    assert bench.server.lease is not None
    lease = bench.server.lease
    bench.server.store({**lease, "spec": {**child(lease, "spec"), "holderIdentity": holder}})
    await bench.clock.advance(RETRY_SECONDS)
    assert a.heard == ["lead", "lost", "cancelled"]
    with pytest.raises(LeaseLostError, match=f"a lost lease aos/aos-operator: .*{told}"):
        await a.running
    assert bench.server.holder() == holder


async def test_a_leader_whose_lease_is_deleted_stops_at_once(bench: Bench) -> None:
    a = bench.replica("a")
    await bench.clock.advance(7)
    bench.server.lease = None
    await bench.clock.advance(RETRY_SECONDS)
    assert a.heard == ["lead", "lost", "cancelled"]
    with pytest.raises(LeaseLostError):
        await a.running


async def test_a_leader_that_was_held_up_knows_that_it_does_not_lead_any_more(bench: Bench) -> None:
    a = bench.replica("a")
    await settle()
    bench.clock.now += RENEW_DEADLINE_SECONDS
    assert not a.elector.is_leader
    await bench.clock.advance(0)
    await a.stop()


async def test_a_replica_that_stops_while_it_waits_leaves_the_lease_alone(bench: Bench) -> None:
    a = bench.replica("a")
    await settle()
    b = bench.replica("b")
    await bench.clock.advance(7)
    await b.stop()
    assert b.running.cancelled()
    assert bench.server.holder() == "a"
    await a.stop()


async def test_a_release_that_gets_no_answer_holds_up_the_end_only_for_seconds(bench: Bench) -> None:
    a = bench.replica("a")
    await settle()
    a.connection.hangs = True
    await a.stop()
    assert not a.running.done()
    await bench.clock.advance(3)
    assert a.running.cancelled()


async def test_a_takeover_counts_the_transition_and_a_renewal_does_not(bench: Bench) -> None:
    a = bench.replica("a")
    await bench.clock.advance(20)
    assert LeaseRecord.parse(bench.server.lease or {}).transitions == 0
    await a.stop()
    b = bench.replica("b")
    await bench.clock.advance(20)
    assert LeaseRecord.parse(bench.server.lease or {}).transitions == 1
    await b.stop()
