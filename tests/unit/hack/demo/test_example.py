import yaml
from pydantic import JsonValue

from hack.demo import example
from hack.demo.cli import model_sentence
from hack.demo.settings import RealModel, Settings

SCRIPTED = Settings(kubeconfig=None, image="localhost/aos:dev", builds_image=True, model=None)


def documents(settings: Settings) -> list[dict[str, JsonValue]]:
    return list(yaml.safe_load_all(example.manifests((example.NAMESPACES, *example.REST), settings)))


def model_spec(settings: Settings) -> JsonValue:
    return next(item["spec"] for item in documents(settings) if item["kind"] == "Model")


def with_model(model: RealModel) -> Settings:
    return Settings(kubeconfig=None, image="registry/aos:1", builds_image=False, model=model)


def test_the_files_are_applied_as_they_are_but_for_the_task() -> None:
    kinds = {str(item["kind"]) for item in documents(SCRIPTED)}
    assert {"Namespace", "Agent", "Tool", "Model", "Policy", "Deployment"} <= kinds
    assert "Task" not in kinds
    written = [
        item
        for name in (example.NAMESPACES, *example.REST)
        for item in yaml.safe_load_all((example.FOLDER / name).read_text(encoding="utf-8"))
    ]
    assert documents(SCRIPTED) == written


def test_every_file_of_the_example_is_applied_or_left_out_on_purpose() -> None:
    files = {path.name for path in example.FOLDER.glob("*.yaml")}
    assert files == {example.NAMESPACES, *example.REST, "task.yaml"}


def test_another_image_takes_the_place_of_the_one_built_here() -> None:
    text = example.manifests(example.REST, with_model(RealModel("https://m/v1", "small", "k")))
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
    assert "a script (examples/sales/model.py), not a language model" in model_sentence(SCRIPTED)
    said = model_sentence(with_model(RealModel("https://m/v1", "small", "key")))
    assert said == "the model in this demonstration is small at https://m/v1"
