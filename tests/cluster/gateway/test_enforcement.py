import asyncio
import base64
import json
from collections.abc import AsyncIterator

import aiohttp

from aos.kube.client import ApiClient
from aos.kube.resources import POLICIES, SECRETS, SERVICE_ACCOUNTS, WORKFLOWS
from aos.model.base import JsonObject
from tests.cluster.gateway.world import LOOPBACK, POLICY_SPEC, WAIT_SECONDS, World, running_world

REPORT = "/v1/enforced"


async def operator_token(world: World) -> str:
    await world.create(SERVICE_ACCOUNTS, "aos-operator", world.system)
    return await world.token(account="aos-operator", namespace=world.system)


async def lines_of(response: aiohttp.ClientResponse) -> AsyncIterator[JsonObject]:
    async with asyncio.timeout(WAIT_SECONDS):
        async for line in response.content:
            yield json.loads(line)


async def next_digest(lines: AsyncIterator[JsonObject], agent: str) -> str:
    async for line in lines:
        if line.get("agent") == agent:
            return str(line["digest"])
    raise AssertionError("the report ended")


async def test_the_operator_reads_which_policy_is_enforced_as_it_changes(world: World) -> None:
    await world.policy()
    await world.agent()
    token = await operator_token(world)
    url = f"https://{LOOPBACK}:{world.ports.admin.port}{REPORT}"
    headers = {"Authorization": f"Bearer {token}"}
    async with world.session(LOOPBACK).get(url, headers=headers) as response:
        assert response.headers["Content-Type"] == "application/x-ndjson"
        lines = lines_of(response)
        first = await next_digest(lines, "enricher")
        assert first.startswith("sha256:")
        changed: JsonObject = {"spec": {**POLICY_SPEC, "agents": {"matchLabels": {"role": "other"}}}}
        await world.client.merge_patch(POLICIES, "baseline", changed, namespace=world.namespace)
        second = await next_digest(lines, "enricher")
        assert second not in (first, "")
        await world.agent("another")
        assert await next_digest(lines, "another") != ""


async def test_the_operator_hears_whether_webhooks_have_their_keys(world: World) -> None:
    token = await operator_token(world)
    url = f"https://{LOOPBACK}:{world.ports.admin.port}{REPORT}"
    hook: JsonObject = {"name": "new-lead", "webhook": {"secretRef": {"name": "hooks", "key": "key"}}}
    steps: JsonObject = {"steps": [{"name": "enrich", "agent": "enricher"}]}
    async with world.session(LOOPBACK).get(url, headers={"Authorization": f"Bearer {token}"}) as response:
        lines = lines_of(response)

        async def hears(problem: str) -> None:
            async for line in lines:
                if line.get("webhooks") == {"generation": 1, "problem": problem}:
                    assert (line["namespace"], line["workflow"]) == (world.namespace, "outreach")
                    return

        await world.create(WORKFLOWS, "outreach", spec={**steps, "triggers": [hook]})
        await hears("trigger new-lead: Secret hooks is not there")
        encoded = base64.b64encode(b"0123456789abcdef").decode()
        await world.create(SECRETS, "hooks", data={"key": encoded})
        await hears("")


async def test_the_report_says_when_it_is_whole_and_that_it_lives(client: ApiClient) -> None:
    async with running_world(client, report_heartbeat_seconds=0.1) as world:
        token = await operator_token(world)
        url = f"https://{LOOPBACK}:{world.ports.admin.port}{REPORT}"
        async with world.session(LOOPBACK).get(url, headers={"Authorization": f"Bearer {token}"}) as response:
            said = []
            async for line in lines_of(response):
                said.append(line)
                if "heartbeat" in line:
                    break
    assert {"synced": True} in said
    assert said[-1] == {"heartbeat": True}


async def test_only_the_operator_reads_the_report(world: World) -> None:
    await world.agent()
    token = await world.token(await world.worker())
    port = world.ports.admin.port
    refused = await world.ask("GET", REPORT, token, port=port)
    assert (refused.status, refused.code) == (403, "Forbidden")
    assert (await world.ask("GET", REPORT, port=port)).code == "NoToken"
    assert (await world.ask("GET", "/v1/task", token, port=port)).status == 404
