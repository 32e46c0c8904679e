"""Where state and cache live: everything this tool writes stands under these two directories."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

KIND_NAME = "aos"
"""The kind cluster that this tool makes when no name is given."""


@dataclass(frozen=True)
class Paths:
    """The two directories of this tool; neither needs to exist yet."""

    state: Path
    cache: Path

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, state: Path | None = None
    ) -> "Paths":
        """Read the directories from the environment; `state` overrides the state directory."""
        return cls(state=(state or _state(environment)).absolute(), cache=_cache(environment).absolute())

    @property
    def node(self) -> Path:
        """State of the one-node cluster."""
        return self.state / "node"

    @property
    def control_plane(self) -> Path:
        """State of the control plane without a node."""
        return self.state / "control-plane"

    @property
    def kind(self) -> Path:
        """State of the clusters that kind keeps in a Docker engine: a folder for each name."""
        return self.state / "kind"

    def kind_record(self, name: str = KIND_NAME) -> Path:
        """Name the file that is there only while this tool keeps a kind cluster of that name."""
        return self.kind / name / "made"

    @property
    def programs(self) -> Path:
        """Built and downloaded programs."""
        return self.cache / "programs"

    @property
    def images(self) -> Path:
        """Image archives and what they are made from."""
        return self.cache / "images"

    def named_image(self, name: str) -> Path:
        """Name the archive of an image that was built without a Docker engine."""
        return self.images / "named" / f"{quote(name, safe='')}.tar"


def _state(environment: Mapping[str, str]) -> Path:
    if home := environment.get("AOS_CLUSTER_HOME"):
        return Path(home)
    if xdg := environment.get("XDG_STATE_HOME"):
        return Path(xdg) / "aos-cluster"
    return Path.home() / ".local" / "state" / "aos-cluster"


def _cache(environment: Mapping[str, str]) -> Path:
    if xdg := environment.get("XDG_CACHE_HOME"):
        return Path(xdg) / "aos-cluster"
    return Path.home() / ".cache" / "aos-cluster"
