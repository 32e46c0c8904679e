"""The manifests of ``examples/sales`` as the demonstration applies them. Pure but for reading the files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import yaml
from pydantic import JsonValue

from aos.model.model import ModelSpec
from aos.policy.prices import prices_of
from hack.demo.settings import RealModel, Settings
from hack.image.cli import DEFAULT_TAG

FOLDER: Final = Path(__file__).parents[2] / "examples" / "sales"
TEAM: Final = "sales"
SYSTEMS: Final = "sales-tools"
AGENT: Final = "lead-enricher"
LEAD: Final = '{"company": "Halden Robotics", "territory": "emea"}'
CREDENTIALS: Final = ("crm-credentials", "model-credentials")
MODEL_CREDENTIALS: Final = "model-credentials"
NAMESPACES: Final = "namespace.yaml"
REST: Final = (
    "systems.yaml",
    "tools.yaml",
    "model.yaml",
    "cluster-policy.yaml",
    "policy.yaml",
    "approvers.yaml",
    "agent.yaml",
)
"""Everything but the Task: ``aos run`` makes one."""

Manifest = dict[str, JsonValue]


def manifests(names: Iterable[str], settings: Settings) -> str:
    """Return the manifests of the named files, with the image and the model of the settings in place."""
    text = "---\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)
    documents = [_adapted(item, settings.model) for item in yaml.safe_load_all(text) if item]
    return yaml.safe_dump_all(documents, sort_keys=False).replace(
        f"image: {DEFAULT_TAG}\n", f"image: {settings.image}\n"
    )


def _adapted(manifest: Manifest, model: RealModel | None) -> Manifest:
    if model is None or manifest.get("kind") != "Model":
        return manifest
    spec = manifest.get("spec")
    kept: Manifest = dict(spec) if isinstance(spec, dict) else {}
    if not model.key:
        kept.pop("auth", None)
    own: Manifest = {"url": model.url, "model": model.name}
    # Without any price the example's budget could not be kept, and its agent would not run.
    if prices_of(ModelSpec.model_validate(own)) is not None:
        kept.pop("prices", None)
    return {**manifest, "spec": {**kept, **own}}
