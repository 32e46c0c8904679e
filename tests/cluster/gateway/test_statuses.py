import base64

from aos.kube.objects import child, children, text
from aos.kube.resources import MODELS, SECRETS
from aos.model.base import JsonObject
from tests.cluster.gateway.world import World, eventually


async def becomes(world: World, status: str, reason: str) -> None:
    """Wait until the Model says so of its availability."""

    async def holds() -> bool:
        model = await world.client.get(MODELS, "default", world.namespace)
        conditions = children(child(model, "status"), "conditions")
        return any(
            (text(item, "type"), text(item, "status"), text(item, "reason")) == ("Available", status, reason)
            for item in conditions
        )

    await eventually(holds)


async def test_a_model_is_available_as_long_as_its_credential_is_there(world: World) -> None:
    reference: JsonObject = {"name": "model-key", "key": "token"}
    auth: JsonObject = {"type": "Bearer", "secretRef": reference}
    await world.create(
        MODELS, "default", spec={"url": "http://127.0.0.1:9/v1", "model": "small", "auth": auth}
    )
    await becomes(world, "False", "CredentialsMissing")
    encoded = base64.b64encode(b"secret-1\n").decode()
    await world.create(SECRETS, "model-key", data={"token": encoded})
    await becomes(world, "True", "Available")
    await world.client.delete(SECRETS, "model-key", namespace=world.namespace)
    await becomes(world, "False", "CredentialsMissing")


async def test_a_model_without_a_credential_is_available(world: World) -> None:
    await world.create(MODELS, "default", spec={"url": "http://127.0.0.1:9/v1", "model": "small"})
    await becomes(world, "True", "Available")
    before = await world.client.get(MODELS, "default", world.namespace)
    assert text(child(before, "metadata"), "resourceVersion") != ""
