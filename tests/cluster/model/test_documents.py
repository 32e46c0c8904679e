"""Every manifest that the README, the docs and the examples show passes a real API server."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from hack.cluster.handle import Handle
from tests.cluster.api import RefusedError, api

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
EXAMPLES = sorted(ROOT.glob("examples/**/*.yaml"))
BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def shown() -> list[tuple[str, str]]:
    """Each block of YAML that is a manifest of AOS, with where it stands."""
    found = [
        (f"{page.relative_to(ROOT)}#{number}", block)
        for page in PAGES
        for number, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
        if "apiVersion: aos.dev/" in block
    ]
    return found + [(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in EXAMPLES]


@pytest.fixture(scope="module")
def namespaces(cluster: Handle) -> Handle:
    teams = ("sales", "support", "marketing", "finance")
    for name in ("models", *teams, *(f"{team}-tools" for team in teams)):
        made = cluster.kubectl("create", "namespace", name)
        assert made.returncode == 0 or "AlreadyExists" in made.stderr
    return cluster


@pytest.mark.parametrize(("place", "text"), shown(), ids=lambda value: value if "\n" not in value else "")
def test_what_is_shown_is_accepted(namespaces: Handle, place: str, text: str) -> None:
    for item in yaml.safe_load_all(text):
        if item["kind"] != "Namespace":
            with named(f"{place}: {item['kind']}"):
                api(namespaces.kubeconfig).try_apply(item)


@contextmanager
def named(place: str) -> Iterator[None]:
    """Say with a refusal where what was refused stands."""
    try:
        yield
    except RefusedError as error:
        pytest.fail(f"{place}: {error}")
