from typing import cast

import pytest

from aos.model.base import JsonObject
from aos.model.pod_tasks import PodTasks
from aos.reconcile.containers import containers
from aos.reconcile.pod import PodMaker
from tests.unit.reconcile.make import PLATFORM, SETTINGS, Raw, ready_agent

IMAGE = "registry.example/team/agent:7"
PATHS_OF_CREDENTIALS = {"/var/run/secrets/aos", "/var/run/aos"}


def made(tasks: PodTasks = PodTasks.ONE, drain_seconds: int = 0, **runtime: object) -> JsonObject:
    return containers(ready_agent(cast("Raw", {"runtime": runtime})), SETTINGS, tasks, drain_seconds)


def of(spec: JsonObject, kind: str = "containers") -> JsonObject:
    [container] = cast("list[JsonObject]", spec[kind])
    return container


def environment(container: JsonObject) -> dict[str, str]:
    return {item["name"]: item["value"] for item in cast("list[dict[str, str]]", container["env"])}


def mounts(container: JsonObject) -> set[str]:
    return {item["mountPath"] for item in cast("list[dict[str, str]]", container["volumeMounts"])}


def volumes(container: JsonObject) -> set[str]:
    return {item["name"] for item in cast("list[dict[str, str]]", container["volumeMounts"])}


@pytest.mark.parametrize("tasks", PodTasks)
def test_the_built_in_runtime_is_alone_with_the_token_and_knows_its_tasks(tasks: PodTasks) -> None:
    spec = made(tasks, 30)
    assert "initContainers" not in spec
    runtime = of(spec)
    assert (runtime["image"], runtime["args"]) == (SETTINGS.agent_image, ["agent"])
    assert environment(runtime)["AOS_POD_TASKS"] == tasks
    assert mounts(runtime) >= PATHS_OF_CREDENTIALS
    # It ends its Task on SIGTERM by itself.
    assert "lifecycle" not in runtime


def test_an_own_image_has_no_credential_and_one_way_to_the_gateway() -> None:
    spec = made(image=IMAGE)
    own, helper = of(spec), of(spec, "initContainers")
    assert own["image"] == IMAGE
    assert "args" not in own
    assert environment(own) == {
        "AOS_GATEWAY_URL": "http://127.0.0.1:15001",
        "AOS_MCP_URL": "http://127.0.0.1:15001/mcp",
        "OPENAI_BASE_URL": "http://127.0.0.1:15001/v1",
        "OPENAI_API_KEY": "unused",
        "AOS_POD_TASKS": "One",
        "HOME": "/tmp",  # noqa: S108 - of the container
    }
    assert mounts(own) == {"/tmp"}  # noqa: S108 - of the container
    assert mounts(helper) >= PATHS_OF_CREDENTIALS
    assert volumes(own).isdisjoint(volumes(helper))


def test_the_helper_is_there_before_the_image_and_until_its_end() -> None:
    helper = of(made(image=IMAGE), "initContainers")
    assert (helper["name"], helper["image"]) == ("aos-helper", SETTINGS.agent_image)
    assert helper["command"] == ["python", "-m", "aos.agent.helper"]
    assert helper["restartPolicy"] == "Always"
    assert "startupProbe" in helper
    assert "AOS_A2A_PORT" not in environment(helper)


def test_the_helper_is_told_of_an_a2a_server() -> None:
    helper = of(made(image=IMAGE, a2a={"port": 9000, "path": "/rpc"}), "initContainers")
    told = environment(helper)
    assert (told["AOS_A2A_PORT"], told["AOS_A2A_PATH"]) == ("9000", "/rpc")


def test_every_container_is_locked_down() -> None:
    spec = made(image=IMAGE)
    for container in (of(spec), of(spec, "initContainers")):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "limits" in cast("JsonObject", container["resources"])


def test_an_own_image_of_a_service_is_ended_after_its_drain_and_the_helper_after_it() -> None:
    own = ready_agent(cast("Raw", {"runtime": {"image": IMAGE, "mode": "Service"}}))
    template = PodMaker(own, "r-1", SETTINGS, PLATFORM).template(45)
    spec = cast("JsonObject", template["spec"])
    assert of(spec)["lifecycle"] == {"preStop": {"sleep": {"seconds": 45}}}
    assert spec["terminationGracePeriodSeconds"] == 55


def test_other_own_images_are_ended_at_once() -> None:
    assert "lifecycle" not in of(made(image=IMAGE))
