"""Each field of an object that a page names is one that a kind has."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from pydantic import JsonValue

from aos.kube.objects import child

ROOT = Path(__file__).resolve().parents[3]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
FIELD = re.compile(r"`((?:spec|status)(?:\.[A-Za-z]+(?:\[\])?)+)(?:[:=][^`]*)?`")
OF_KUBERNETES = {"status.runtimeHandlers.features.userNamespaces", "status.podIPs"}


def places(schema: Mapping[str, JsonValue], path: str = "") -> Iterator[str]:
    """Yield where the fields of a schema stand; those of a list's items stand where the list does."""
    yield path
    for inside in (child(schema, "items"), child(schema, "additionalProperties")):
        if inside:
            yield from places(inside, path)
    properties = child(schema, "properties")
    for name in properties:
        yield from places(child(properties, name), f"{path}.{name}" if path else name)


@pytest.fixture(scope="module")
def fields() -> set[str]:
    found: set[str] = set()
    for file in ROOT.glob("crds/*.yaml"):
        kind = yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
        for version in kind["spec"]["versions"]:
            found.update(places(version["schema"]["openAPIV3Schema"]))
    return found


def test_every_field_that_a_page_names_is_one_that_a_kind_has(fields: set[str]) -> None:
    named = {
        (str(page.relative_to(ROOT)), name.replace("[]", ""))
        for page in PAGES
        for name in FIELD.findall(page.read_text(encoding="utf-8"))
    }
    assert len(named) > 100
    assert {(page, name) for page, name in named if name not in fields | OF_KUBERNETES} == set()
