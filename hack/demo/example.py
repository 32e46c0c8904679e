"""The manifests of ``examples`` as the demonstration applies them. Pure but for reading the files."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from pydantic import JsonValue

from aos.model.model import ModelSpec
from aos.policy.prices import prices_of
from hack.demo.settings import RealModel, Settings
from hack.image.cli import DEFAULT_TAG

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
NAMESPACES: Final = "namespace.yaml"
REST: Final = (
    "systems.yaml",
    "tools.yaml",
    "model.yaml",
    "policies.yaml",
    "approvers.yaml",
    "agents.yaml",
    "workflow.yaml",
)
"""Everything but what is to be done: people start that."""


@dataclass(frozen=True, slots=True)
class Example:
    """One example.

    Attributes:
        name: of its folder, and of the namespace of its team.
        systems: Deployments of the namespace with its systems, each with credentials of its own.
        agents: the team's.
        workflow: what the team has for others to run.
    """

    name: str
    systems: tuple[str, ...]
    agents: tuple[str, ...]
    workflow: str

    @property
    def systems_namespace(self) -> str:
        """Where its systems run."""
        return f"{self.name}-tools"

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return EXAMPLES / self.name

    @property
    def files(self) -> tuple[Path, ...]:
        """What is applied once the namespaces and credentials are there, in order."""
        return tuple(self.folder / name for name in REST)


SALES: Final = Example("sales", ("crm", "mail"), ("lead-enricher", "copywriter", "sender"), "outreach")
SUPPORT: Final = Example(
    "support", ("tickets",), ("classifier", "redactor", "suggester", "router", "answerer"), "triage"
)
MARKETING: Final = Example(
    "marketing", ("cms",), ("writer", "brand-checker", "publisher", "tidier"), "publish-post"
)
FINANCE: Final = Example("finance", ("ledger",), ("reconciler", "poster", "closer", "reverser"), "reconcile")
ALL: Final = {one.name: one for one in (SALES, SUPPORT, MARKETING, FINANCE)}

COMMON: Final = EXAMPLES / "common"
COMMON_FILES: Final = (COMMON / "systems.yaml", COMMON / "cluster-policy.yaml")
MODELS: Final = "models"
"""The namespace of the model that all examples use."""
MODEL: Final = "model"

TEAM: Final = SALES.name
SYSTEMS: Final = SALES.systems_namespace
AGENT: Final = "lead-enricher"
LEAD: Final = '{"company": "Halden Robotics", "territory": "emea"}'

Manifest = dict[str, JsonValue]


def credentials(system: str) -> str:
    """Return the name of the Secret with a system's token."""
    return f"{system}-credentials"


def manifests(files: Iterable[Path], settings: Settings) -> str:
    """Return the manifests of these files, with the image and the model of the settings in place."""
    text = "---\n".join(file.read_text(encoding="utf-8") for file in files)
    documents = [_adapted(item, settings.model) for item in yaml.load_all(text, yaml.CSafeLoader) if item]
    return yaml.dump_all(documents, Dumper=yaml.CSafeDumper, sort_keys=False).replace(
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
