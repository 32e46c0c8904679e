"""Sums up all that a run of tests can depend on.

That is the repository's files, the interpreter and what is installed for it, the machine's programs, and the environment.
"""

import hashlib
import os
import platform
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

_Fact = tuple[object, ...]

_PACKAGES: Final = Path("/var/lib/dpkg/status")
"""Debian writes it anew with each package that comes, goes or changes."""
_OF_THE_SHELL: Final = frozenset(
    (
        *("_", "OLDPWD", "PWD", "SHLVL"),
        *("GPG_TTY", "SSH_AUTH_SOCK", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY"),
        *("STY", "TERM_SESSION_ID", "TMUX", "TMUX_PANE", "WINDOWID", "XDG_SESSION_ID"),
        *("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MAKE_TERMERR", "MAKE_TERMOUT", "MFLAGS"),
    )
)
"""Variables that tell one terminal or one ``make`` from another, and no test reads."""


def fingerprint(
    root: Path,
    environment: Mapping[str, str],
    programs: Sequence[Path] = (),
    ignored: frozenset[str] = frozenset(),
) -> str | None:
    """Return a digest that changes with anything that a test could see; None where that can't be told.

    Args:
        root: of a git repository; each file counts that git knows or would add, with its name, mode and content.
        environment: of the tests; all of it counts but what tells one terminal from another.
        programs: folders of programs beside those on PATH; their files count by size and time.
        ignored: variables that do not count either.
    """
    digest = hashlib.sha256()
    facts = chain(
        _files(root),
        _interpreter(),
        _programs(environment, programs),
        sorted((name, text) for name, text in environment.items() if name not in _OF_THE_SHELL | ignored),
    )
    try:
        for fact in facts:
            digest.update(repr(fact).encode())
    except (OSError, subprocess.CalledProcessError):
        return None
    return digest.hexdigest()


def _files(root: Path) -> Iterator[_Fact]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout
    yield ("root", str(root))
    for name in sorted({os.fsdecode(name) for name in listed.split(b"\0") if name}):
        path = root / name
        try:
            mode = path.lstat().st_mode
            content = os.fsencode(path.readlink()) if stat.S_ISLNK(mode) else path.read_bytes()
        except FileNotFoundError:
            continue  # git knows it, and it has been deleted
        yield name, mode, hashlib.sha256(content).hexdigest()


def _interpreter() -> Iterator[_Fact]:
    yield sys.version, sys.executable, _state(Path(sys.executable).resolve())
    for folder in sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}):
        for entry in sorted(Path(folder).iterdir()):
            # An installer writes it with the digest of each file that it installs.
            yield str(entry), _state(entry / "RECORD" if entry.suffix == ".dist-info" else entry)


def _programs(environment: Mapping[str, str], programs: Sequence[Path]) -> Iterator[_Fact]:
    yield platform.machine(), platform.release(), os.geteuid(), _state(_PACKAGES)
    named = [environment.get("KUBEBUILDER_ASSETS", ""), *environment.get("PATH", "").split(os.pathsep)]
    for folder in (Path(sys.executable).parent, *(Path(name) for name in named if name), *programs):
        yield (str(folder),)
        if folder.is_dir():
            for entry in sorted(folder.iterdir()):
                yield entry.name, _state(entry)


def _state(path: Path) -> _Fact | None:
    """Tell a file from what it was before; of a folder only that it is there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (
        (status.st_mode,)
        if stat.S_ISDIR(status.st_mode)
        else (status.st_mode, status.st_size, status.st_mtime_ns)
    )
