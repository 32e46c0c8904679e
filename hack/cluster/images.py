"""The three images of a node: what holds a pod open, what tries the network, and the cluster's DNS server."""

import platform
from pathlib import Path

from hack.cluster import build, oci, recipes
from hack.cluster.files import exclusive, write_atomically
from hack.cluster.paths import Paths

PAUSE = "aos.local/pause:1"
PROBE = "aos.local/probe:1"
COREDNS = "aos.local/coredns:1"

_NAMES = {"pause": PAUSE, "probe": PROBE, "coredns": COREDNS}
# CoreDNS listens on port 53, which a container's own network lets any user do.
_NOBODY = "65532:65532"


def ensure(paths: Paths) -> tuple[Path, ...]:
    """Give the archives of all images, built when they are not in the cache."""
    return tuple(archive(paths, name) for name in _NAMES)


def archive(paths: Paths, name: str) -> Path:
    """Give the archive of one image, `pause`, `probe` or `coredns`."""
    recipe = next(recipe for recipe in recipes.image_recipes() if recipe.name == name)
    target = paths.images / f"{recipe.name}-{recipe.key}.tar"
    if target.exists():
        return target
    program = build.ensure(paths.programs, recipe) / recipe.name
    image = oci.Image(
        name=_NAMES[recipe.name],
        files={f"/{recipe.name}": program.read_bytes()},
        entrypoint=(f"/{recipe.name}",),
        machine=platform.machine(),
        user=_NOBODY,
    )
    with exclusive(paths.images / f"{recipe.name}.lock"):
        write_atomically(target, oci.archive(image))
    return target
