from dataclasses import replace
from typing import cast

import pytest
from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.reconcile.children import (
    controller_revision,
    credential_access,
    network_policy,
    service_account,
)
from aos.reconcile.pod import pod
from aos.reconcile.revision import revision_of
from aos.reconcile.settings import HostUsers
from tests.unit.reconcile.golden_files import check
from tests.unit.reconcile.make import PLATFORM, SETTINGS, agent, model, ready_agent, task, tool


def test_the_children_of_an_agent_are_as_on_file() -> None:
    one = agent()
    revision = revision_of(one, "Enrich the lead.", SETTINGS)
    check(
        "agent",
        service_account(one.metadata),
        network_policy(one.metadata, SETTINGS),
        controller_revision(one.metadata, revision, 3),
    )


def test_the_access_to_a_credential_is_as_on_file() -> None:
    check(
        "credential",
        *credential_access("Tool", tool("crm-credentials").metadata, "crm-credentials", SETTINGS),
        *credential_access("Model", model("openai").metadata, "openai", SETTINGS),
    )


def test_the_pod_of_a_task_is_as_on_file() -> None:
    check("pod", pod(task(), ready_agent(), "enricher-12345678", SETTINGS, PLATFORM, 590.2))


def test_the_pod_of_an_agent_with_its_own_image_runtime_and_resources_is_as_on_file() -> None:
    own = ready_agent(
        {
            "runtime": {
                "image": "registry.example/team/agent:7",
                "imagePullSecrets": ["team-registry"],
                "runtimeClassName": "gvisor",
                "resources": {"requests": {"memory": "1Gi"}, "limits": {"cpu": "10m"}},
            }
        }
    )
    settings = SETTINGS.__class__(
        namespace="aos-system", agent_image="registry.example/aos:1", host_users=HostUsers.OWN
    )
    check("pod-own-image", pod(task(), own, "enricher-12345678", settings, PLATFORM, 30))


@pytest.mark.parametrize(
    ("own", "of_all", "expected"),
    [
        ([], (), None),
        (["a"], (), [{"name": "a"}]),
        ([], ("b",), [{"name": "b"}]),
        (["a", "b"], ("b", "c"), [{"name": "a"}, {"name": "b"}, {"name": "c"}]),
    ],
)
def test_images_are_got_with_the_secrets_of_the_agent_and_of_the_installation(
    own: list[JsonValue], of_all: tuple[str, ...], expected: JsonValue
) -> None:
    settings = replace(SETTINGS, agent_image_pull_secrets=of_all)
    made = pod(task(), ready_agent({"runtime": {"imagePullSecrets": own}}), "r", settings, PLATFORM, 30)
    assert cast("JsonObject", made["spec"]).get("imagePullSecrets") == expected


def test_the_pod_is_locked_down() -> None:
    made = pod(task(), ready_agent(), "r", SETTINGS, PLATFORM, 30)
    spec = cast("JsonObject", made["spec"])
    container = cast("list[JsonObject]", spec["containers"])[0]
    assert cast("JsonObject", spec["securityContext"])["runAsNonRoot"] is True
    assert cast("JsonObject", spec["securityContext"])["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "hostNetwork" not in spec


@pytest.mark.parametrize(
    ("wanted", "can_own_users", "own"),
    [
        (HostUsers.AUTO, True, True),
        (HostUsers.AUTO, False, False),
        (HostUsers.OWN, False, True),
        (HostUsers.SHARED, True, False),
    ],
)
def test_the_pod_has_users_of_its_own_where_nodes_can_or_where_it_must(
    wanted: HostUsers, *, can_own_users: bool, own: bool
) -> None:
    settings = replace(SETTINGS, host_users=wanted)
    made = pod(task(), ready_agent(), "r", settings, PLATFORM, 30, can_own_users=can_own_users)
    assert cast("JsonObject", made["spec"]).get("hostUsers") is (False if own else None)


def test_no_token_reaches_the_pod_but_the_projected_one() -> None:
    spec = cast("JsonObject", pod(task(), ready_agent(), "r", SETTINGS, PLATFORM, 30)["spec"])
    assert spec["automountServiceAccountToken"] is False
    volumes = {str(item["name"]): item for item in cast("list[JsonObject]", spec["volumes"])}
    assert set(volumes) == {"token", "authority", "temporary"}
    sources = cast("list[JsonObject]", cast("JsonObject", volumes["token"]["projected"])["sources"])
    assert sources == [
        {"serviceAccountToken": {"audience": "aos-gateway", "expirationSeconds": 600, "path": "token"}}
    ]
