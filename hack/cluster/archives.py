"""Turns what a person calls an image into an archive file that a node can take."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hack.cluster.errors import PrerequisiteError
from hack.cluster.paths import Paths
from hack.cluster.source import docker_answers


@contextmanager
def archive_of(image: str) -> Iterator[Path]:
    """Give the archive of an image: a file is its own; a name is looked up where `hack.image` builds, or exported."""
    built = Paths.from_environment().named_image(image)
    for archive in (Path(image), built):
        if archive.is_file():
            yield archive
            return
    with TemporaryDirectory(prefix="aos-image-") as folder:
        target = Path(folder) / "image.tar"
        _export(image, target)
        yield target


def _export(image: str, target: Path) -> None:
    tried = []
    for store, available, command in _stores(image, target):
        if not available():
            tried.append(f"{store} is not there")
            continue
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        tried.append(f"{store} says: {done.stderr.strip()}")
        target.unlink(missing_ok=True)
    raise PrerequisiteError(
        f"{image} is no file, and no image of that name can be exported ({'; '.join(tried)}): "
        "build it with `python -m hack.image build`, or give the path of an image archive"
    )


def _stores(image: str, target: Path) -> Iterator[tuple[str, Callable[[], bool], Sequence[str]]]:
    yield "Docker", docker_answers, ("docker", "save", "--output", str(target), image)
    yield (
        "buildah",
        lambda: shutil.which("buildah") is not None,
        ("buildah", "push", image, f"docker-archive:{target}:{image}"),
    )
