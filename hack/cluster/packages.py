"""Debian packages that the tool leans on: installed when that is possible, named when it is not."""

import os
import shutil
import subprocess
from collections.abc import Sequence

from hack.cluster.errors import PrerequisiteError
from hack.cluster.progress import step

_LAST_LINES = 8

RUN_NODE = ("iproute2", "iptables", "ipset", "nftables", "util-linux")
BUILD_IMAGES = ("buildah", "mmdebstrap")


def missing(packages: Sequence[str], installed: str) -> tuple[str, ...]:
    """Give those packages that `dpkg-query` does not list as installed."""
    present = {
        name.partition(":")[0]
        for line in installed.splitlines()
        for name, _, status in (line.partition(" "),)
        if status == "installed"
    }
    return tuple(package for package in packages if package not in present)


def ensure_packages(packages: Sequence[str], why: str) -> None:
    """Install Debian packages that are missing, or raise an error that names them."""
    if not packages:
        return
    if shutil.which("dpkg-query") is None:
        # No Debian: the programs may still be there under other packages' names, and what fails will say so.
        return
    absent = missing(packages, _installed(packages))
    if not absent:
        return
    if os.geteuid() != 0:
        raise PrerequisiteError(
            f"{', '.join(absent)} must be installed {why}: run `apt-get install {' '.join(absent)}` as root"
        )
    _install(absent, why)


def _installed(packages: Sequence[str]) -> str:
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\\n", *packages]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout


def _install(packages: Sequence[str], why: str) -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"installing {', '.join(packages)} {why}"):
        # The lists may be missing or old; when some source cannot be reached the install says what matters.
        subprocess.run(["apt-get", "update", "--quiet"], env=quiet, capture_output=True, check=False)
        finished = subprocess.run(
            ["apt-get", "install", "--quiet", "--yes", "--no-install-recommends", *packages],
            env=quiet,
            capture_output=True,
            text=True,
            check=False,
        )
    if finished.returncode != 0:
        lines = "\n".join((finished.stderr or finished.stdout).strip().splitlines()[-_LAST_LINES:])
        raise PrerequisiteError(f"apt-get could not install {', '.join(packages)} {why}:\n{lines}")
