"""Two electors at one real Lease."""

import asyncio

from aos.kube.client import ApiClient
from aos.kube.lease import LeaderElector, LeaseRecord
from aos.kube.resources import LEASES
from tests.cluster.kube.conftest import Place
from tests.cluster.kube.waiting import eventually


class Replica:
    def __init__(self, client: ApiClient, namespace: str) -> None:
        self.elector = LeaderElector(client, namespace=namespace, name="aos-operator")
        self.leads = asyncio.Event()
        self.running = asyncio.create_task(self.elector.run(self.lead))

    async def lead(self) -> None:
        self.leads.set()
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self.running.cancel()
        await asyncio.wait({self.running})


async def record(place: Place) -> LeaseRecord:
    return LeaseRecord.parse(await place.client.get(LEASES, "aos-operator", place.namespace))


async def test_of_two_replicas_one_leads_and_the_other_follows_it(place: Place) -> None:
    replicas = [Replica(place.client, place.namespace) for _ in range(2)]

    async def one_leads() -> bool:
        return any(replica.leads.is_set() for replica in replicas)

    await eventually(one_leads)
    (first,) = [replica for replica in replicas if replica.leads.is_set()]
    (second,) = [replica for replica in replicas if not replica.leads.is_set()]
    before = await record(place)
    assert before.holder == first.elector.identity

    async def renewed() -> bool:
        return (await record(place)).renew_time != before.renew_time

    await eventually(renewed)
    assert not second.leads.is_set()
    await first.stop()
    await asyncio.wait_for(second.leads.wait(), 30)
    after = await record(place)
    assert (after.holder, after.transitions) == (second.elector.identity, 1)
    await second.stop()
    assert (await record(place)).holder == ""
