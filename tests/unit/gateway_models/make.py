"""Short ways to write what the model part of the gateway works on."""

from aos.model.base import JsonObject
from aos.model.model import Model
from tests.unit.gateway_mcp.make import NAMESPACE

CREDENTIAL = "model-credential-7b8b965a"


def model(url: str, name: str = "default", behind: str = "scripted-1", **auth: str) -> Model:
    spec: JsonObject = {
        "url": url,
        "model": behind,
        "auth": {"secretRef": {"name": "model-credentials", "key": "token"}, **auth},
    }
    return Model.parse(
        {"metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}"}, "spec": spec}
    )
