"""The demonstration's way into a cluster, against a real API server; there is no node, so nothing runs."""

import secrets
from collections.abc import Iterator

import pytest

from hack.cluster.errors import ClusterError
from hack.cluster.handle import Handle
from hack.cluster.paths import Paths
from hack.demo import example
from hack.demo.access import Access, DemoError
from hack.demo.diagnosis import diagnosis
from hack.demo.installation import put_credentials
from hack.demo.settings import RealModel, Settings
from tests.cluster.cli.conftest import Namespace, until

SCRIPTED = Settings(kubeconfig=None, image="localhost/aos:dev", builds_image=True, model=None)
REAL = Settings(
    kubeconfig=None,
    image="localhost/aos:dev",
    builds_image=True,
    model=RealModel("https://models.example.com/v1", "small-1", "made-up-key"),
)


@pytest.fixture
def access(cluster: Handle) -> Access:
    return Access(cluster, Paths.from_environment())


SALES = example.SALES
FILES = [*example.COMMON_FILES, *SALES.files]


@pytest.fixture
def example_namespaces(access: Access) -> Iterator[None]:
    folders = (example.COMMON, SALES.folder)
    access.apply(example.manifests([folder / example.NAMESPACES for folder in folders], SCRIPTED))
    yield
    # Namespaces can't be made anew while they end, so only what the test put there goes.
    for namespace in (example.TEAM, example.SYSTEMS, example.MODELS):
        access.kubectl.run("delete", "secret,deployment", "--all", "-n", namespace)


def test_the_whole_example_is_accepted_twice(access: Access, example_namespaces: None) -> None:
    for _ in range(2):
        access.apply(example.manifests(FILES, SCRIPTED))
    shown = access.kubectl.must("get", "agents,tools,models,policies", "-n", example.TEAM, "-o", "name")
    assert len(shown.split()) == 9


def test_system_and_gateway_get_one_token_and_a_second_run_keeps_it(
    access: Access, example_namespaces: None
) -> None:
    put_credentials(access, "crm", example.SYSTEMS, example.TEAM, SCRIPTED)
    token = access.secret(example.SYSTEMS, "crm-credentials")
    assert len(token) == 48
    assert access.secret(example.TEAM, "crm-credentials") == token
    put_credentials(access, "crm", example.SYSTEMS, example.TEAM, SCRIPTED)
    assert access.secret(example.SYSTEMS, "crm-credentials") == token
    assert access.secret(example.TEAM, "crm-credentials") == token


def test_a_real_models_key_goes_to_the_gateway_alone_and_leaves_with_it(
    access: Access, example_namespaces: None
) -> None:
    name = example.credentials(example.MODEL)
    put_credentials(access, example.MODEL, example.MODELS, example.TEAM, REAL)
    assert access.secret(example.TEAM, name) == "made-up-key"
    scripted = access.secret(example.MODELS, name)
    assert scripted != "made-up-key"
    put_credentials(access, example.MODEL, example.MODELS, example.TEAM, SCRIPTED)
    assert access.secret(example.TEAM, name) == scripted


def test_a_token_is_never_on_a_command_line_or_in_an_annotation(access: Access, namespace: Namespace) -> None:
    token = secrets.token_hex(8)
    access.put_secret(namespace.name, "a", token)
    assert "last-applied" not in namespace.kubectl("get", "secret", "a", "-o", "yaml")


def test_what_does_not_become_ready_is_told_with_its_conditions(access: Access, sales: Namespace) -> None:
    with pytest.raises(DemoError, match=r"agent/enricher in .* is not ready after 1 s"):
        access.wait_ready(sales.name, "agent/enricher", seconds=1)


def test_a_deployment_that_does_not_start_is_told(access: Access, namespace: Namespace) -> None:
    namespace.kubectl("create", "deployment", "idle", "--image=localhost/none")
    with pytest.raises(DemoError, match=r"Deployment .*/idle did not become ready within 1 s"):
        access.rollout(namespace.name, "idle", seconds=1)


def test_the_diagnosis_shows_what_does_not_start(access: Access, example_namespaces: None) -> None:
    access.apply(example.manifests(FILES, SCRIPTED))
    until(lambda: any(block.startswith("pods in sales-tools:") for block in diagnosis(access.kubectl)))


def test_a_refused_manifest_is_told_in_the_api_servers_words(access: Access) -> None:
    with pytest.raises(ClusterError, match=r"kubectl apply .* failed"):
        access.apply("kind: Nothing\napiVersion: v1\nmetadata: {name: a}\n")
