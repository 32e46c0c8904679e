"""The base image for machines without a Docker engine: Debian with the Python that the Dockerfile's default base has."""

import subprocess
from pathlib import Path

from hack.cluster.errors import BuildError
from hack.cluster.files import exclusive
from hack.cluster.progress import step
from hack.image import network

SUITE = "trixie"
NAME = "localhost/aos-base:python-3.13"

_PACKAGES = ("ca-certificates", "python3", "python3-venv")
_LAST_LINES = 10
# A change of how the base is made gives it another name, and so another image.
_EDITION = 1


def ensure(folder: Path) -> Path:
    """Give the tar of the base's root file system, made once."""
    target = folder / f"base-{SUITE}-{_EDITION}.tar"
    with exclusive(folder / "base.lock"):
        if not target.exists():
            with step(f"making the base image from Debian {SUITE}"):
                _make(target)
    return target


def command(target: Path, sources: list[str], options: list[str]) -> list[str]:
    """Give the command that makes the tar; without sources mmdebstrap takes Debian's own."""
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(_PACKAGES)}",
        # What nobody reads inside a container.
        '--dpkgopt=path-exclude="/usr/share/man/*"',
        '--dpkgopt=path-exclude="/usr/share/doc/*"',
        *(f"--aptopt={option}" for option in options),
        SUITE,
        str(target),
        *sources,
    ]


def _make(target: Path) -> None:
    draft = target.with_name(f".{target.name}")
    arguments = command(draft, network.debian_sources(SUITE), network.apt_options())
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        draft.unlink(missing_ok=True)
        lines = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        raise BuildError(
            f"mmdebstrap cannot make the base image:\n{lines}\n"
            "Check that apt reaches Debian's packages, or build where a Docker engine is."
        )
    draft.replace(target)
