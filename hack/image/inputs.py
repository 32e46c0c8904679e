"""What an image is made from: its files, and one digest over them that says whether it must be built again."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = "Dockerfile"

_SOURCES = (
    ".dockerignore",
    "Dockerfile",
    "LICENSE",
    "README.md",
    "examples",
    "hack/image/build.lock",
    "operator",
    "pyproject.toml",
    "requirements.lock",
)


def digest(base: str, root: Path = REPOSITORY, dockerfile: str = DOCKERFILE) -> str:
    """Name the content of all inputs and the base image; times and owners of files do not matter.

    Args:
        base: the base image, and whatever else tells images apart.
        root: of the repository.
        dockerfile: within it. One in a folder of its own is taken to copy nothing from outside of that folder.
    """
    folder = Path(dockerfile).parent
    sources = _SOURCES if folder == Path() else (_SOURCES[0], str(folder))
    total = hashlib.sha256(f"{base} {dockerfile}".encode())
    for path in _files(root, sources):
        content = path.read_bytes()
        executable = path.stat().st_mode & 0o100
        total.update(f"\0{path.relative_to(root)}\0{executable}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()[:16]


def _files(root: Path, sources: Iterable[str]) -> Iterator[Path]:
    for source in sources:
        path = root / source
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file() and _counts(file))
        elif path.exists():
            yield path


def _counts(path: Path) -> bool:
    return "__pycache__" not in path.parts and path.suffix != ".pyc"
