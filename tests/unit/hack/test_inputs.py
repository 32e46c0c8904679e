import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from hack import inputs
from hack.inputs import fingerprint


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository that holds one file, and leaves out what ends in .log."""
    made = tmp_path / "repository"
    made.mkdir()
    (made / "known").write_text("as it was")
    (made / ".gitignore").write_text("*.log\n")
    for command in (("init", "--quiet"), ("add", "known")):
        subprocess.run(["git", *command], cwd=made, check=True)
    return made


def test_the_same_inputs_have_the_same_fingerprint(root: Path) -> None:
    first = fingerprint(root, os.environ)
    assert first is not None
    assert first == fingerprint(root, dict(sorted(os.environ.items(), reverse=True)))


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "known").write_text("as it is"),
        lambda root: (root / "known").chmod(0o755),
        lambda root: (root / "known").rename(root / "renamed"),
        lambda root: (root / "known").unlink(),
        lambda root: (root / "new").touch(),
        lambda root: (root / "link").symlink_to("known"),
        lambda root: (root / ".gitignore").write_text(""),
    ],
    ids=["content", "mode", "name", "deleted", "not yet added", "link", "ignored"],
)
def test_a_change_of_any_file_changes_it(root: Path, change: Callable[[Path], object]) -> None:
    before = fingerprint(root, {})
    change(root)
    assert fingerprint(root, {}) != before


def test_where_a_link_leads_counts(root: Path) -> None:
    (root / "link").symlink_to("known")
    before = fingerprint(root, {})
    (root / "link").unlink()
    (root / "link").symlink_to("nowhere")
    assert fingerprint(root, {}) != before


def test_what_git_ignores_does_not_count(root: Path) -> None:
    before = fingerprint(root, {})
    (root / "some.log").write_text("noise")
    assert fingerprint(root, {}) == before


@pytest.mark.parametrize("file", ["thing-1.0.dist-info/RECORD", "thing-2.0.dist-info/RECORD", "plugin.pth"])
def test_another_version_of_a_dependency_counts(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    site = tmp_path / "site"
    record = site / "thing-1.0.dist-info/RECORD"
    record.parent.mkdir(parents=True)
    record.write_text("thing.py,sha256=1")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(site))
    before = fingerprint(root, {})
    assert before == fingerprint(root, {})
    changed = site / file
    changed.parent.mkdir(exist_ok=True)
    changed.write_text("thing.py,sha256=22")
    assert fingerprint(root, {}) != before


def test_another_interpreter_counts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(root, {})
    monkeypatch.setattr(sys, "version", "4.0")
    assert fingerprint(root, {}) != before


@pytest.mark.parametrize("variable", ["PATH", "KUBEBUILDER_ASSETS", None])
def test_another_program_counts(root: Path, tmp_path: Path, variable: str | None) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    environment = {} if variable is None else {variable: str(folder)}
    folders = [folder] if variable is None else []
    seen = [fingerprint(root, environment, folders)]
    (folder / "helm").write_text("one")
    seen.append(fingerprint(root, environment, folders))
    (folder / "helm").write_text("another")
    seen.append(fingerprint(root, environment, folders))
    assert len(set(seen)) == 3


def test_debians_packages_count(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = tmp_path / "status"
    monkeypatch.setattr(inputs, "_PACKAGES", status)
    before = fingerprint(root, {})
    status.write_text("Package: postgresql")
    assert fingerprint(root, {}) != before


def test_the_environment_counts_but_for_what_only_tells_terminals_apart(root: Path) -> None:
    before = fingerprint(root, {"LANG": "C"})
    assert fingerprint(root, {"LANG": "de_DE.UTF-8"}) != before
    assert fingerprint(root, {"LANG": "C", "PYTEST_ADDOPTS": "-x"}) != before
    assert fingerprint(root, {"LANG": "C", "SHLVL": "3", "FRESH": "1"}, (), frozenset({"FRESH"})) == before
    assert fingerprint(root, {"LANG": "C", "FRESH": "1"}) != before


def test_what_is_no_repository_has_none(tmp_path: Path) -> None:
    assert fingerprint(tmp_path, {}) is None


def test_a_repository_within_it_can_not_be_summed_up(root: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "inner"], cwd=root, check=True)
    (root / "inner/file").touch()
    assert fingerprint(root, {}) is None
