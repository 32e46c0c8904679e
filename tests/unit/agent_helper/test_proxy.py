from pathlib import Path

import httpx

from tests.unit.agent_helper.cluster import cluster


async def test_the_image_reaches_the_gateway_with_the_pods_token_and_its_own_is_taken_off(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as world, world.helper() as url, httpx.AsyncClient() as http:
        world.task("u1", {"lead": "ada"})
        answer = await http.get(f"{url}/v1/task", headers={"Authorization": "Bearer mine"})
        assert (answer.status_code, answer.json()["uid"]) == (200, "u1")
