import base64
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from aos.kube.client import ApiClient
from aos.kube.objects import text
from aos.kube.resources import AGENTS, PODS, SERVICE_ACCOUNTS, TASKS
from aos.model.base import JsonObject
from aos.model.names import AUDIENCE_GATEWAY, agent_service_account
from tests.cluster.gateway.world import ELSEWHERE, World, running_world

TASK = "/v1/task"
MODELS_PATH = "/v1/models"


async def a_known_token(world: World) -> str:
    """The token of a worker that the gateway answers."""
    await world.agent()
    token = await world.token(await world.worker())
    await world.ask_until(200, "GET", TASK, token)
    return token


async def test_attack_01_a_token_for_another_audience_is_refused(world: World) -> None:
    await world.agent()
    worker = await world.worker()
    token = await world.token(worker, audience="https://kubernetes.default.svc")
    answer = await world.ask("GET", TASK, token)
    assert (answer.status, answer.code) == (401, "TokenInvalid")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "HS256"])
async def test_attack_01_a_token_that_somebody_else_signed_is_refused(world: World, algorithm: str) -> None:
    genuine = await a_known_token(world)
    header = jwt.get_unverified_header(genuine)
    claims = jwt.decode(genuine, options={"verify_signature": False})
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = own if algorithm[:2] in ("RS", "PS") else "a secret of thirty-two characters"
    forged = jwt.encode(claims, key, algorithm=algorithm, headers={"kid": header["kid"]})
    answer = await world.ask("GET", TASK, forged)
    assert (answer.status, answer.code) == (401, "TokenInvalid")


async def test_attack_01_a_token_without_a_signature_is_refused(world: World) -> None:
    header, claims, _ = (await a_known_token(world)).split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    for forged in (f"{unsigned}.{claims}.", f"{header}.{claims}."):
        answer = await world.ask("GET", TASK, forged)
        assert (answer.status, answer.code) == (401, "TokenInvalid")


async def test_attack_01_a_request_without_a_token_is_refused(world: World) -> None:
    answer = await world.ask("GET", TASK)
    assert (answer.status, answer.code) == (401, "NoToken")
    basic = await world.ask("GET", TASK, headers={"Authorization": "Basic dXNlcjpwYXNz"})
    assert basic.code == "NoToken"


async def test_attack_02_the_token_of_a_deleted_pod_is_refused(world: World) -> None:
    await world.agent()
    worker = await world.worker()
    token = await world.token(worker)
    await world.ask_until(200, "GET", TASK, token)
    await world.client.delete(PODS, worker.pod, namespace=world.namespace, grace_period_seconds=0)
    await world.ask_until("PodEnded", "GET", TASK, token)


async def test_attack_02_the_token_of_a_pod_that_is_being_deleted_is_refused(world: World) -> None:
    await world.agent()
    task = await world.task()
    worker = await world.pod(task)
    await world.record(worker)
    token = await world.token(worker)
    await world.ask_until(200, "GET", TASK, token)
    held: JsonObject = {"metadata": {"finalizers": ["tests.aos.dev/held"]}}
    await world.client.merge_patch(PODS, worker.pod, held, namespace=world.namespace)
    await world.client.delete(PODS, worker.pod, namespace=world.namespace, grace_period_seconds=0)
    await world.ask_until("PodEnded", "GET", TASK, token)
    released: JsonObject = {"metadata": {"finalizers": None}}
    await world.client.merge_patch(PODS, worker.pod, released, namespace=world.namespace)


async def test_attack_02_the_token_of_a_service_account_that_was_made_anew_is_refused(world: World) -> None:
    token = await a_known_token(world)
    name = agent_service_account("enricher")
    await world.client.delete(SERVICE_ACCOUNTS, name, namespace=world.namespace)
    await world.service_account(name)
    await world.ask_until("ServiceAccountUnknown", "GET", TASK, token)


async def test_attack_02_the_api_server_is_asked_about_a_token_that_is_not_remembered(
    client: ApiClient,
) -> None:
    async with running_world(client, token_cache_seconds=0) as world:
        await world.agent()
        worker = await world.worker()
        token = await world.token(worker)
        await world.ask_until(200, "GET", TASK, token)
        await world.client.delete(PODS, worker.pod, namespace=world.namespace, grace_period_seconds=0)
        await world.ask_until("TokenNotAccepted", "GET", TASK, token)


async def test_attack_03_a_stolen_token_is_refused_from_another_address(world: World) -> None:
    token = await a_known_token(world)
    answer = await world.ask("GET", TASK, token, address=ELSEWHERE)
    assert (answer.status, answer.code) == (403, "AddressMismatch")


async def test_attack_03_a_forwarded_address_is_not_believed(world: World) -> None:
    token = await a_known_token(world)
    headers = {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
    answer = await world.ask("GET", TASK, token, address=ELSEWHERE, headers=headers)
    assert answer.code == "AddressMismatch"


async def test_attack_30_a_pod_that_borrows_an_agents_service_account_is_refused(world: World) -> None:
    await world.agent()
    task = await world.task()
    worker = await world.pod(task)
    await world.record(worker)
    await world.ask_until(200, "GET", TASK, await world.token(worker))
    second = await world.pod(task, "second")
    await world.ask_until("PodUnknown", "GET", TASK, await world.token(second))
    orphan = await world.pod(task, "orphan", owned=False)
    await world.ask_until("TaskUnknown", "GET", TASK, await world.token(orphan))


async def test_attack_30_a_token_that_is_bound_to_no_pod_is_refused(world: World) -> None:
    await a_known_token(world)
    token = await world.token(account=agent_service_account("enricher"))
    assert (await world.ask("GET", TASK, token)).code == "PodUnknown"


async def test_a_service_account_that_is_not_an_agents_is_refused(world: World) -> None:
    await world.service_account("build-bot")
    token = await world.token(account="build-bot")
    answer = await world.ask("GET", TASK, token)
    assert (answer.status, answer.code) == (403, "NotAnAgent")


async def test_a_pod_waits_until_the_operator_has_recorded_it(world: World) -> None:
    await world.agent()
    worker = await world.pod(await world.task())
    answer = await world.ask_until("PodNotRecorded", "GET", MODELS_PATH, await world.token(worker))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    await world.record(worker)
    await world.ask_until(200, "GET", TASK, await world.token(worker))


async def test_a_pod_without_an_address_waits_and_one_with_another_address_is_refused(world: World) -> None:
    await world.agent()
    worker = await world.worker()
    token = await world.token(worker)
    await world.ask_until(200, "GET", TASK, token)
    await world.pod_status(worker, podIP="127.0.0.9", podIPs=[{"ip": "127.0.0.9"}])
    await world.ask_until("AddressMismatch", "GET", TASK, token)
    await world.pod_status(worker, podIP=None, podIPs=None)
    await world.ask_until("PodNotRecorded", "GET", TASK, token)


async def test_deleting_the_task_revokes_the_token_at_once(world: World) -> None:
    token = await a_known_token(world)
    await world.client.delete(TASKS, "t1", namespace=world.namespace)
    answer = await world.ask_until(403, "GET", TASK, token)
    # The cluster's garbage collector ends the pod a moment after its Task.
    assert answer.code in ("TaskUnknown", "PodEnded")


async def test_deleting_the_agent_ends_its_calls(world: World) -> None:
    token = await a_known_token(world)
    await world.client.delete(AGENTS, "enricher", namespace=world.namespace)
    await world.ask_until("AgentUnknown", "GET", TASK, token)


async def test_a_task_past_its_deadline_is_refused_even_if_nobody_ended_it(world: World) -> None:
    await world.agent()
    worker = await world.worker(deadline="3s")
    token = await world.token(worker)
    await world.ask_until("TaskEnded", "GET", TASK, token)
    answer = await world.ask("POST", "/v1/task/result", token, json={"output": {"score": 1}})
    assert (answer.status, answer.code) == (409, "TaskEnded")


async def test_a_token_of_another_namespace_does_not_help(world: World) -> None:
    await a_known_token(world)
    token = await world.token(account="default", namespace="default")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["aud"] == [AUDIENCE_GATEWAY]
    assert claims["exp"] > time.time()
    answer = await world.ask("GET", TASK, token)
    assert text(answer.json, "error") == ""
    assert answer.code == "NotAnAgent"
