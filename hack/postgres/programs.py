"""Finds PostgreSQL's programs, and installs them where that is possible."""

import os
import shutil
from pathlib import Path

from hack.cluster.errors import PrerequisiteError
from hack.cluster.packages import ensure_packages

_DEBIAN = Path("/usr/lib/postgresql")
_NEEDED = ("initdb", "postgres")


def find() -> Path | None:
    """Return the folder of PostgreSQL's programs: the newest that Debian installed, or the one on PATH."""
    versions = sorted(_DEBIAN.glob("*/bin"), key=_version, reverse=True)
    on_path = shutil.which("initdb")
    if on_path is not None:
        versions.append(Path(on_path).resolve().parent)
    return next((folder for folder in versions if all((folder / name).exists() for name in _NEEDED)), None)


def ensure() -> Path:
    """Return the folder of PostgreSQL's programs; installs Debian's package if it is missing and this is root.

    Raises:
        PrerequisiteError: there are none, and they can't be installed.
    """
    found = find()
    if found is None:
        # Debian's package would start a server of its own at once.
        _start_no_server()
        ensure_packages(["postgresql"], "to run PostgreSQL")
        found = find()
    if found is None:
        raise PrerequisiteError("PostgreSQL's initdb and postgres are not there: install PostgreSQL")
    return found


def _version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdecimal() else 0


def _start_no_server() -> None:
    settings = Path("/etc/postgresql-common/createcluster.d")
    if os.geteuid() == 0 and shutil.which("dpkg-query") is not None:
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "aos-none.conf").write_text("create_main_cluster = false\n")
