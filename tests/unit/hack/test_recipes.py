"""What is built is named by its pins: the same pins, the same key; any change, another."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hack.cluster import recipes
from hack.cluster.errors import BuildError
from hack.cluster.recipes import Recipe

ALL = (recipes.kube(), recipes.helm(), *recipes.node_recipes())


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.name)
def test_each_module_is_pinned_and_there(recipe: Recipe) -> None:
    assert (recipe.folder / "go.mod").is_file()
    needs_sums = "require" in (recipe.folder / "go.mod").read_text()
    assert (recipe.folder / "go.sum").is_file() is needs_sums
    assert re.fullmatch(r"[0-9a-f]{16}", recipe.key)


def test_recipes_have_names_of_their_own() -> None:
    assert len({recipe.name for recipe in ALL}) == len(ALL)
    assert len({recipe.key for recipe in ALL}) == len(ALL)


@pytest.mark.parametrize("file", ["go.mod", "go.sum", "main.go"])
def test_a_changed_pin_or_source_gives_another_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    shutil.copytree(recipes.MODULES / "dns", tmp_path / "dns")
    monkeypatch.setattr(recipes, "MODULES", tmp_path)
    (recipe,) = (recipe for recipe in recipes.image_recipes() if recipe.name == "coredns")
    before = recipe.key
    with (tmp_path / "dns" / file).open("a") as stream:
        stream.write("\n// changed\n")
    assert recipe.key != before


def test_a_changed_flag_gives_another_key() -> None:
    recipe = recipes.runc()
    changed = replace(recipe, binaries=(replace(recipe.binaries[0], tags=""),))
    assert changed.key != recipe.key


def test_the_api_server_is_stamped_with_the_pinned_version() -> None:
    flags = recipes.kube().binaries[0].linker_flags
    assert f"-X k8s.io/component-base/version.gitVersion={recipes.kubernetes_version()} " in flags
    assert re.search(r"gitMajor=1 .*gitMinor=\d+ ", flags)


def test_the_one_binary_answers_to_every_program() -> None:
    assert {"etcd", "kubectl", "kubelet", "kube-apiserver", "kube-controller-manager"} <= set(
        recipes.kube().names
    )


def test_a_pin_that_is_gone_is_an_error_with_a_way_out() -> None:
    assert recipes.pinned_version("require example.org/x v1.2.3\n", "example.org/x") == "v1.2.3"
    assert (
        recipes.pinned_version("require (\n\texample.org/x v1.2.3 // indirect\n)\n", "example.org/x")
        == "v1.2.3"
    )
    with pytest.raises(BuildError, match=r"does not require example\.org/y: restore"):
        recipes.pinned_version("require example.org/x v1.2.3\n", "example.org/y")
