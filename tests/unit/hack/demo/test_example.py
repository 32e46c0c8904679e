import pytest
import yaml
from pydantic import JsonValue

from hack.demo import example
from hack.demo.cli import model_sentence
from hack.demo.example import Example
from hack.demo.settings import RealModel, Settings

SCRIPTED = Settings(kubeconfig=None, image="localhost/aos:dev", builds_image=True, model=None)
SALES = example.SALES


def documents(settings: Settings, chosen: Example = SALES) -> list[dict[str, JsonValue]]:
    files = [chosen.folder / example.NAMESPACES, *example.COMMON_FILES, *chosen.files]
    return list(yaml.load_all(example.manifests(files, settings), yaml.CSafeLoader))


def model_spec(settings: Settings) -> JsonValue:
    return next(item["spec"] for item in documents(settings) if item["kind"] == "Model")


def with_model(model: RealModel) -> Settings:
    return Settings(kubeconfig=None, image="registry/aos:1", builds_image=False, model=model)


@pytest.mark.parametrize("chosen", example.ALL.values(), ids=lambda one: one.name)
def test_the_files_are_applied_as_they_are_but_for_what_is_to_be_done(chosen: Example) -> None:
    kinds = {str(item["kind"]) for item in documents(SCRIPTED, chosen)}
    assert {"Namespace", "Agent", "Tool", "Model", "Policy", "Deployment", "Workflow"} <= kinds
    assert not kinds & {"Task", "WorkflowRun"}
    written = [
        item
        for file in (chosen.folder / example.NAMESPACES, *example.COMMON_FILES, *chosen.files)
        for item in yaml.load_all(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
    ]
    assert documents(SCRIPTED, chosen) == written


@pytest.mark.parametrize("chosen", example.ALL.values(), ids=lambda one: one.name)
def test_every_file_of_an_example_is_applied_or_left_out_on_purpose(chosen: Example) -> None:
    files = {path.name for path in chosen.folder.glob("*.yaml")}
    assert files - {"task.yaml"} == {example.NAMESPACES, *example.REST, "run.yaml"}


@pytest.mark.parametrize("chosen", example.ALL.values(), ids=lambda one: one.name)
def test_an_example_is_what_its_files_hold(chosen: Example) -> None:
    def names(kind: str, namespace: str) -> set[str]:
        found = [item["metadata"] for item in documents(SCRIPTED, chosen) if item["kind"] == kind]
        return {str(one["name"]) for one in found if isinstance(one, dict) and one["namespace"] == namespace}

    assert names("Deployment", chosen.systems_namespace) == {*chosen.systems}
    assert names("Tool", chosen.name) == {*chosen.systems}
    assert names("Agent", chosen.name) == {*chosen.agents}
    assert names("Workflow", chosen.name) == {chosen.workflow}


def test_another_image_takes_the_place_of_the_one_built_here() -> None:
    text = example.manifests(SALES.files, with_model(RealModel("https://m/v1", "small", "k")))
    assert "image: registry/aos:1\n" in text
    assert "localhost/aos" not in text


def test_a_real_model_takes_the_place_of_the_script_under_the_same_name() -> None:
    spec = model_spec(with_model(RealModel("https://m/v1", "small", "key")))
    assert isinstance(spec, dict)
    assert (spec["url"], spec["model"]) == ("https://m/v1", "small")
    assert "auth" in spec
    keyless = model_spec(with_model(RealModel("https://m/v1", "small", "")))
    assert isinstance(keyless, dict)
    assert "auth" not in keyless


def test_it_is_said_plainly_which_model_answers() -> None:
    assert "a script (examples/common/model.py), not a language model" in model_sentence(SCRIPTED)
    said = model_sentence(with_model(RealModel("https://m/v1", "small", "key")))
    assert said == "the model in this demonstration is small at https://m/v1"
