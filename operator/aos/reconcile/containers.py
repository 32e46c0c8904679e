"""What runs in an agent's pod: the built-in runtime, or a team's own image beside a helper that alone has the pod's token."""

from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from aos.model.agent import Agent, ResourceAmounts, Resources
from aos.model.base import JsonObject
from aos.model.names import (
    ANNOTATION_GATEWAY_CA,
    AUDIENCE_GATEWAY,
    HELPER_PORT,
    TOKEN_EXPIRATION_SECONDS,
)
from aos.model.pod_tasks import PodTasks
from aos.reconcile.resources import container_resources
from aos.reconcile.revision import image_of
from aos.reconcile.settings import OperatorSettings

CONTAINER: Final = "agent"
HELPER: Final = "aos-helper"
TEMPORARY_SIZE: Final = "64Mi"
HELPER_STATE_SIZE: Final = "1Mi"
TOKEN_DIRECTORY: Final = "/var/run/secrets/aos"  # noqa: S105 - where it stands, not what it is
AUTHORITY_DIRECTORY: Final = "/var/run/aos"
TEMPORARY_DIRECTORY: Final = "/tmp"  # noqa: S108 - of the container
HELPER_RESOURCES: Final = Resources(
    requests=ResourceAmounts(cpu="10m", memory="40Mi"), limits=ResourceAmounts(cpu="500m", memory="64Mi")
)
PROBE_ATTEMPTS: Final = 60
_TOKEN_FILE: Final = f"{TOKEN_DIRECTORY}/token"
_AUTHORITY_FILE: Final = f"{AUTHORITY_DIRECTORY}/ca.crt"
_READ_ONLY_MODE: Final = 0o444
_TOKEN: Final[JsonObject] = {"name": "token", "mountPath": TOKEN_DIRECTORY, "readOnly": True}
_AUTHORITY: Final[JsonObject] = {"name": "authority", "mountPath": AUTHORITY_DIRECTORY, "readOnly": True}


def containers(
    agent: Agent, settings: OperatorSettings, tasks: PodTasks, drain_seconds: int = 0
) -> JsonObject:
    """Return the fields ``containers``, ``initContainers`` and ``volumes`` of a pod's spec.

    Args:
        agent: whose pod.
        settings: of the operator.
        tasks: which Tasks the pod is for.
        drain_seconds: how long an own image is kept running once the pod is to go; 0 for no time at all.
    """
    if not agent.spec.runtime.image:
        return {"containers": [_runtime(agent, settings, tasks)], "volumes": [*_credentials(), _temporary()]}
    return {
        # One that is always restarted starts first and ends last: the image has the gateway for as long as it runs.
        "initContainers": [_helper(agent, settings, tasks)],
        "containers": [_own_image(agent, settings, tasks, drain_seconds)],
        "volumes": [
            *_credentials(),
            _temporary(),
            {"name": "helper", "emptyDir": {"medium": "Memory", "sizeLimit": HELPER_STATE_SIZE}},
        ],
    }


def _runtime(agent: Agent, settings: OperatorSettings, tasks: PodTasks) -> JsonObject:
    url = settings.gateway_url
    return {
        **_container(CONTAINER, settings.agent_image, _gateway_environment(url, tasks)),
        "args": ["agent"],
        "resources": container_resources(agent.spec.runtime.resources, settings.default_resources),
        "volumeMounts": [_TOKEN, _AUTHORITY, _mount("temporary")],
    }


def _own_image(agent: Agent, settings: OperatorSettings, tasks: PodTasks, drain_seconds: int) -> JsonObject:
    url = f"http://127.0.0.1:{HELPER_PORT}"
    environment = {
        **_urls(url),
        # Clients of OpenAI's API do not start without one; the helper takes it off again.
        "OPENAI_API_KEY": "unused",
        "AOS_POD_TASKS": tasks.value,
        "HOME": TEMPORARY_DIRECTORY,
    }
    container: JsonObject = {
        **_container(CONTAINER, image_of(agent, settings), environment),
        "resources": container_resources(agent.spec.runtime.resources, settings.default_resources),
        "volumeMounts": [_mount("temporary")],
    }
    if drain_seconds:
        # What an image does on SIGTERM is its own affair: it is sent when the time to end the Task at hand is over.
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": drain_seconds}}}
    return container


def _helper(agent: Agent, settings: OperatorSettings, tasks: PodTasks) -> JsonObject:
    environment = _gateway_environment(settings.gateway_url, tasks)
    server = agent.spec.runtime.a2a
    if server is not None:
        environment |= {"AOS_A2A_PORT": str(server.port), "AOS_A2A_PATH": server.path}
    return {
        **_container(HELPER, settings.agent_image, environment),
        # As `aos helper`, without the memory and the time that all other commands take.
        "command": ["python", "-m", "aos.agent.helper"],
        "restartPolicy": "Always",
        # The kubelet can't reach the pod's loopback from outside, so it asks from within.
        "startupProbe": {
            "exec": {"command": ["python", "-m", "aos.agent.helper.probe"]},
            "periodSeconds": 1,
            "timeoutSeconds": 5,
            "failureThreshold": PROBE_ATTEMPTS,
        },
        "resources": container_resources(HELPER_RESOURCES, HELPER_RESOURCES),
        "volumeMounts": [_TOKEN, _AUTHORITY, _mount("helper")],
    }


def _container(name: str, image: str, environment: Mapping[str, str]) -> JsonObject:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": variable, "value": value} for variable, value in environment.items()],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # Not the fallback to the log, which may hold what the agent worked on.
        "terminationMessagePolicy": "File",
    }


def _gateway_environment(url: str, tasks: PodTasks) -> dict[str, str]:
    return {
        **_urls(url),
        "AOS_TOKEN_FILE": _TOKEN_FILE,
        "AOS_CA_FILE": _AUTHORITY_FILE,
        "SSL_CERT_FILE": _AUTHORITY_FILE,
        "AOS_POD_TASKS": tasks.value,
        "HOME": TEMPORARY_DIRECTORY,
    }


def _urls(url: str) -> dict[str, str]:
    return {"AOS_GATEWAY_URL": url, "AOS_MCP_URL": f"{url}/mcp", "OPENAI_BASE_URL": f"{url}/v1"}


def _mount(volume: str) -> JsonObject:
    return {"name": volume, "mountPath": TEMPORARY_DIRECTORY}


def _temporary() -> JsonValue:
    # In memory: counted against the pod's limit, bounded by the kernel, and nothing stays on the node's disk.
    return {"name": "temporary", "emptyDir": {"medium": "Memory", "sizeLimit": TEMPORARY_SIZE}}


def _credentials() -> list[JsonValue]:
    token: JsonObject = {
        "audience": AUDIENCE_GATEWAY,
        "expirationSeconds": TOKEN_EXPIRATION_SECONDS,
        "path": _TOKEN_FILE.rpartition("/")[2],
    }
    authority: JsonObject = {
        "path": _AUTHORITY_FILE.rpartition("/")[2],
        "fieldRef": {"fieldPath": f"metadata.annotations['{ANNOTATION_GATEWAY_CA}']"},
    }
    return [
        {
            "name": "token",
            "projected": {"defaultMode": _READ_ONLY_MODE, "sources": [{"serviceAccountToken": token}]},
        },
        {"name": "authority", "downwardAPI": {"defaultMode": _READ_ONLY_MODE, "items": [authority]}},
    ]
