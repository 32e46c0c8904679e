from aos.kube.objects import child
from aos.kube.resources import TASKS
from tests.cluster.gateway.world import OUTPUT_SCHEMA, World


async def test_a_pod_gets_its_task_with_the_instructions_of_the_revision_that_it_runs(world: World) -> None:
    await world.agent()
    await world.policy()
    worker = await world.worker()
    answer = await world.ask_until(200, "GET", "/v1/task", await world.token(worker))
    assert answer.json | {"deadline": ""} == {
        "name": "t1",
        "namespace": world.namespace,
        "agent": "enricher",
        "revision": "enricher-1",
        "instructions": "Enrich the lead.",
        "input": {"lead": "ada"},
        "outputSchema": OUTPUT_SCHEMA,
        "model": "",
        "deadline": "",
    }


async def test_a_result_is_kept_on_the_task_once_and_ends_what_the_pod_may_do(world: World) -> None:
    await world.agent()
    token = await world.token(await world.worker())
    await world.ask_until(200, "GET", "/v1/task", token)

    unfit = await world.ask("POST", "/v1/task/result", token, json={"output": {"score": "high"}})
    assert (unfit.status, unfit.code) == (422, "OutputInvalid")
    details = child(unfit.json, "error")["details"]
    assert details == [{"path": "/score", "message": '"high" is not of type "number"'}]

    kept = await world.ask("POST", "/v1/task/result", token, json={"output": {"score": 0.7}})
    assert (kept.status, kept.content) == (204, b"")
    task = await world.client.get(TASKS, "t1", world.namespace)
    result = child(child(task, "status"), "result")
    assert (result["outcome"], result["output"]) == ("Succeeded", {"score": 0.7})

    again = await world.ask("POST", "/v1/task/result", token, json={"output": {"score": 0.1}})
    assert (again.status, again.code) == (409, "ResultExists")
    for path in ("/v1/task", "/mcp", "/v1/models"):
        assert (await world.ask("GET", path, token)).code == "TaskEnded"
