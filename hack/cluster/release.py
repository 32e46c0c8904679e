"""Downloads programs of an official Kubernetes release; each is kept only when its checksum is right."""

import hashlib
import http.client
import platform
import urllib.error
import urllib.request
from pathlib import Path

from hack.cluster.errors import BuildError
from hack.cluster.files import exclusive
from hack.cluster.progress import step

_BASE = "https://dl.k8s.io/release"
_CONNECT_SECONDS = 5.0
_MAX_CHECKSUM_BYTES = 4096
_CHUNK_BYTES = 1 << 20
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def folder(programs: Path, version: str) -> Path:
    """Name the folder for one release on this machine's architecture."""
    return programs / f"release-{version}-{platform.machine()}"


def ensure(programs: Path, version: str, names: tuple[str, ...]) -> Path:
    """Download those programs of a release that are not there yet; raise BuildError when one cannot be had."""
    target = folder(programs, version)
    with exclusive(programs / "release.lock"):
        for name in names:
            if not (target / name).exists():
                _download(version, name, target / name)
    return target


def _download(version: str, name: str, target: Path) -> None:
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise BuildError(f"no official release for {machine}: build from Go modules")
    url = f"{_BASE}/{version}/bin/linux/{_ARCHITECTURES[machine]}/{name}"
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{name}.draft")
    try:
        expected = _read(f"{url}.sha512").split()[0].decode()
        with step(f"downloading {name} {version}"):
            found = _fetch(url, draft)
    except (OSError, urllib.error.URLError, http.client.HTTPException, IndexError) as problem:
        raise BuildError(f"{url} cannot be fetched: {problem}") from problem
    if found != expected:
        draft.unlink()
        raise BuildError(f"{url} has the SHA-512 {found}, but {expected} was announced: it was thrown away")
    draft.chmod(0o755)
    draft.replace(target)


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_CONNECT_SECONDS) as response:  # noqa: S310  # https, fixed above
        content: bytes = response.read(_MAX_CHECKSUM_BYTES)
    return content


def _fetch(url: str, target: Path) -> str:
    digest = hashlib.sha512()
    with (
        urllib.request.urlopen(url, timeout=_CONNECT_SECONDS) as response,  # noqa: S310  # https, fixed above
        target.open("wb") as stream,
    ):
        while chunk := response.read(_CHUNK_BYTES):
            digest.update(chunk)
            stream.write(chunk)
    return digest.hexdigest()
