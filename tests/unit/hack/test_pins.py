"""What is built and tested with stands fixed, and the pages say the versions that hold."""

import re
from pathlib import Path
from typing import Final

import yaml

from hack.cluster import recipes
from hack.cluster.build import parse_go_version

ROOT: Final = Path(__file__).resolve().parents[3]
WORKFLOWS: Final = sorted((ROOT / ".github/workflows").glob("*.yaml"))
DIGEST: Final = re.compile(r"\S+@sha256:[0-9a-f]{64}")


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def releases() -> list[tuple[int, ...]]:
    """Give the releases of Kubernetes that the end-to-end tests are set up for in kind, oldest first."""
    matrix = yaml.safe_load(read(".github/workflows/kind.yaml"))["jobs"]["e2e"]["strategy"]["matrix"][
        "include"
    ]
    for entry in matrix:
        assert DIGEST.fullmatch(entry["image"])
        assert entry["image"].startswith(f"kindest/node:v{entry['kubernetes']}.")
    return sorted(tuple(int(part) for part in entry["kubernetes"].split(".")) for entry in matrix)


def test_the_image_is_built_on_a_base_that_nobody_can_move() -> None:
    (base,) = re.findall(r"^ARG BASE=(.*)$", read("Dockerfile"), re.MULTILINE)
    assert DIGEST.fullmatch(base)


def test_every_action_of_a_workflow_is_one_commit_with_the_release_that_it_is() -> None:
    used = [use for path in WORKFLOWS for use in re.findall(r"uses: (.*)$", path.read_text(), re.MULTILINE)]
    assert used
    assert [use for use in used if not re.fullmatch(r"[\w/.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)] == []


def test_the_chart_asks_for_the_oldest_kubernetes_that_is_tested_and_its_page_names_all() -> None:
    tested = [".".join(str(part) for part in release) for release in releases()]
    assert yaml.safe_load(read("charts/aos/Chart.yaml"))["kubeVersion"] == f">={tested[0]}.0-0"
    page = " ".join(read("docs/installation.md").split())
    local = ".".join(recipes.kubernetes_version().removeprefix("v").split(".")[:2])
    assert f"Kubernetes {tested[0]} or later" in page
    assert f"run on {local} in the [local cluster]" in page
    assert f"set up for {', '.join(tested[:-1])} and {tested[-1]} in kind" in page


def test_the_pages_ask_for_the_go_that_all_modules_can_be_built_with() -> None:
    needed = max(
        parse_go_version(line)
        for path in recipes.MODULES.glob("*/go.mod")
        for line in path.read_text().splitlines()
        if line.startswith("go ")
    )
    said = ".".join(str(part) for part in needed)
    assert f"Go {said} or later" in read("README.md")
    assert f"Go ({said} or later" in read("docs/local-cluster.md")
