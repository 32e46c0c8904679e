"""How programs are built: pinned, once, whole or not at all, with errors that name the way out."""

import os
import threading
from pathlib import Path

import pytest

from hack.cluster import build, recipes
from hack.cluster.errors import BuildError, PrerequisiteError
from hack.cluster.recipes import Binary, Recipe

FAKE_GO = """#!/bin/sh
if [ "$1" = version ]; then echo "go version go9.9.9 linux/amd64"; exit 0; fi
echo "$@" >> "$GO_CALLS"
[ -n "$GO_FAILS" ] && { echo "cannot find module" >&2; exit 1; }
while [ "$1" != -o ]; do shift; done
sleep 0.2
echo built > "$2"
"""

RECIPE = Recipe("tools", "tools", (Binary("one", aliases=("uno",)), Binary("two", package="example.org/two")))


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    go = tmp_path / "bin" / "go"
    go.write_text(FAKE_GO)
    go.chmod(0o755)
    (tmp_path / "modules" / "tools").mkdir(parents=True)
    (tmp_path / "modules" / "tools" / "go.mod").write_text("module x\n\ngo 1.26.0\n")
    monkeypatch.setattr(recipes, "MODULES", tmp_path / "modules")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("GO_CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def test_programs_are_built_once_and_found_by_every_name(calls: Path, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    folder = build.ensure(programs, RECIPE)
    assert folder == build.ensure(programs, RECIPE)
    assert sorted(path.name for path in folder.iterdir()) == ["one", "two", "uno"]
    assert (folder / "uno").read_text() == "built\n"
    assert len(calls.read_text().splitlines()) == 2


def test_two_runs_at_once_build_once(calls: Path, tmp_path: Path) -> None:
    runs = [threading.Thread(target=build.ensure, args=(tmp_path / "programs", RECIPE)) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(calls.read_text().splitlines()) == 2


def test_a_failed_build_leaves_nothing_that_looks_built(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GO_FAILS", "1")
    with pytest.raises(BuildError, match=r"(?s)failed for tools in .*cannot find module.*check GOPROXY"):
        build.ensure(tmp_path / "programs", RECIPE)
    assert not build.built(tmp_path / "programs", RECIPE).exists()


def test_what_an_interrupted_build_left_is_swept_away(calls: Path, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    draft = programs / f".tools-{RECIPE.key}.draft"
    draft.mkdir(parents=True)
    (draft / "half").touch()
    assert not (build.ensure(programs, RECIPE) / "half").exists()
    assert not draft.exists()


def test_a_changed_pin_builds_anew(calls: Path, tmp_path: Path) -> None:
    first = build.ensure(tmp_path / "programs", RECIPE)
    (tmp_path / "modules" / "tools" / "go.mod").write_text("module x\n\ngo 1.26.1\n")
    assert build.ensure(tmp_path / "programs", RECIPE) != first


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.27rc1 linux/arm64", (1, 27)),
        ("go 1.26.6", (1, 26, 6)),
    ],
)
def test_versions_are_read(answer: str, version: tuple[int, ...]) -> None:
    assert build.parse_go_version(answer) == version


def test_a_toolchain_that_is_too_old_is_named_with_the_one_that_is_needed() -> None:
    with pytest.raises(
        PrerequisiteError, match=r"/opt/go is Go 1\.19\.8, but Go 1\.26\.6 or later is needed"
    ):
        build.check_go("go version go1.19.8 linux/amd64", "module x\n\ngo 1.26.6\n", "/opt/go")
    build.check_go("go version go1.26.6 linux/amd64", "module x\n\ngo 1.26.6\n", "go")


def test_a_machine_without_go_hears_its_choices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build, "_GO_FALLBACK", tmp_path / "go")
    with pytest.raises(PrerequisiteError, match=r"install Go .* or install kind .*--kubeconfig"):
        build.find_go()
    (tmp_path / "go").touch()
    assert build.find_go() == str(tmp_path / "go")


def test_the_result_does_not_depend_on_the_persons_settings() -> None:
    outer = {"GOFLAGS": "-mod=vendor", "CGO_ENABLED": "1", "GOPROXY": "https://proxy.example", "GOWORK": "x"}
    inner = build.environment(Binary("x"), outer)
    assert inner["CGO_ENABLED"] == "0"
    assert inner["GOFLAGS"] == "-mod=readonly"
    assert inner["GOWORK"] == "off"
    assert inner["GOTOOLCHAIN"] == "local"
    assert inner["GOPROXY"] == "https://proxy.example"
    assert build.environment(Binary("x", cgo=True), outer)["CGO_ENABLED"] == "1"


def test_a_build_is_pinned_and_free_of_machine_paths(tmp_path: Path) -> None:
    command = build.command("go", Binary("x", "example.org/x", "-s", tags="a b"), tmp_path / "x")
    assert command[:2] == ["go", "build"]
    assert {"-mod=readonly", "-trimpath", "-buildvcs=false", "-tags=a b", "-ldflags=-s"} <= set(command)
    assert command[-3:] == ["-o", str(tmp_path / "x"), "example.org/x"]
