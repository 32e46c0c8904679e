"""Manifests kept as YAML; ``AOS_WRITE_GOLDEN=1`` writes them anew."""

import os
from pathlib import Path

import yaml

from aos.model.base import JsonObject

FOLDER = Path(__file__).parent / "golden"


def check(name: str, *manifests: JsonObject) -> None:
    path = FOLDER / f"{name}.yaml"
    if os.environ.get("AOS_WRITE_GOLDEN"):
        path.write_text(yaml.safe_dump_all(manifests, sort_keys=False, width=110), encoding="utf-8")
    assert list(yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader)) == list(manifests)
