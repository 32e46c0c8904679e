"""Missing Debian packages are installed where that is possible and named where it is not."""

import os
from pathlib import Path

import pytest

from hack.cluster import packages
from hack.cluster.errors import PrerequisiteError

FAKE_QUERY = '#!/bin/sh\nprintf "ipset installed\\nnftables:amd64 installed\\ngcc config-files\\n"\n'


def script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    script(tmp_path, "dpkg-query", FAKE_QUERY)
    script(tmp_path, "apt-get", f'#!/bin/sh\necho "$@" >> {tmp_path}/apt\n')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_only_what_is_fully_installed_counts() -> None:
    listed = "ipset installed\nnftables:amd64 installed\ngcc config-files\n"
    assert packages.missing(("ipset", "nftables", "gcc", "iptables"), listed) == ("gcc", "iptables")


def test_root_installs_what_is_missing_after_an_update(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    packages.ensure_packages(("ipset", "iptables"), why="to run a node")
    update, install = (machine / "apt").read_text().splitlines()
    assert update.startswith("update")
    assert install.endswith(" iptables")


def test_anybody_else_is_told_what_to_install(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(
        PrerequisiteError, match="iptables must be installed to run a node: run `apt-get install"
    ):
        packages.ensure_packages(("ipset", "iptables"), why="to run a node")
    assert not (machine / "apt").exists()


def test_a_failed_install_says_what_apt_said(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    script(machine, "apt-get", '#!/bin/sh\necho "E: no such package" >&2; exit 100\n')
    with pytest.raises(PrerequisiteError, match="E: no such package"):
        packages.ensure_packages(("iptables",), why="to run a node")


def test_a_machine_without_dpkg_is_left_to_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    packages.ensure_packages(("iptables",), why="to run a node")


def test_nothing_needed_asks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages.ensure_packages((), why="for nothing")
