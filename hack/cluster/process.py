"""Processes that outlive the command that started them: recorded by identity, ended only when they are still ours."""

import contextlib
import json
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hack.cluster.files import write_atomically

_PROC = Path("/proc")
_KILL_SECONDS = 10.0


@dataclass(frozen=True)
class Identity:
    """Tells one process from any other that ever had its number: on this boot, started at this tick."""

    pid: int
    start_ticks: int
    boot_id: str


@dataclass(frozen=True)
class Stat:
    """The fields of `/proc/PID/stat` that matter here."""

    state: str
    parent: int
    start_ticks: int


def parse_stat(text: str) -> Stat:
    """Read `/proc/PID/stat` (proc_pid_stat(5)); the program's name may hold spaces and parentheses."""
    after_name = text.rpartition(")")[2].split()
    return Stat(state=after_name[0], parent=int(after_name[1]), start_ticks=int(after_name[19]))


def boot_id() -> str:
    """Name the running boot: after a restart of the machine every recorded process is gone."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Identity | None:
    """Give the identity of a living process; None when there is none, or only a zombie."""
    try:
        stat = parse_stat((_PROC / str(pid) / "stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    if stat.state in {"Z", "X"}:
        return None
    return Identity(pid=pid, start_ticks=stat.start_ticks, boot_id=boot_id())


def children(pid: int) -> tuple[Identity, ...]:
    """Give the living children of a process."""
    found = (identify(number) for number in _numbers() if _parent(number) == pid)
    return tuple(identity for identity in found if identity is not None)


def _numbers() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]


def _parent(pid: int) -> int | None:
    try:
        return parse_stat((_PROC / str(pid) / "stat").read_text()).parent
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_alive(recorded: Identity) -> bool:
    """Tell whether this very process still runs, not another that got its number."""
    return identify(recorded.pid) == recorded


def end(recorded: Identity, grace_seconds: float = 0.0) -> None:
    """End a process: ask, wait for `grace_seconds`, then force; a process that has gone is no error."""
    try:
        handle = os.pidfd_open(recorded.pid)
    except ProcessLookupError:
        return
    try:
        # The handle pins the process first, so that the check cannot be outrun by a reuse of the number.
        if is_alive(recorded) and not (grace_seconds > 0 and _ended(handle, signal.SIGTERM, grace_seconds)):
            _ended(handle, signal.SIGKILL, _KILL_SECONDS)
    finally:
        os.close(handle)
    # Only the process that started it can reap it; for any other, that is its new parent's work.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(recorded.pid, os.WNOHANG)


def _ended(handle: int, number: signal.Signals, seconds: float) -> bool:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, number)
    # A process handle becomes readable when the last thread has gone (pidfd_open(2)).
    watch = select.poll()
    watch.register(handle, select.POLLIN)
    return bool(watch.poll(seconds * 1000))


def spawn(arguments: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path) -> Identity:
    """Start a program in a session of its own, its output added to `log`."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )
    identity = identify(started.pid)
    # Whoever waits later learns of the end from /proc; this object must not complain that it was not waited for.
    started.returncode = 0
    if identity is None:
        # It ended already. A record that matches no process says so to every later check.
        return Identity(pid=started.pid, start_ticks=0, boot_id="")
    return identity


class Table:
    """The processes of one cluster, kept in a file beside its state."""

    def __init__(self, path: Path) -> None:
        """Keep the table at `path`; a missing file is an empty table."""
        self._path = path

    def read(self) -> dict[str, Identity]:
        """Give all records by name, alive or not."""
        try:
            content = json.loads(self._path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return {name: Identity(**record) for name, record in content.items()}

    def write(self, records: Mapping[str, Identity]) -> None:
        """Replace all records."""
        content = {name: asdict(record) for name, record in records.items()}
        write_atomically(self._path, json.dumps(content, indent=2) + "\n")

    def alive(self) -> dict[str, Identity]:
        """Give the records of processes that still run."""
        return {name: record for name, record in self.read().items() if is_alive(record)}

    def start(
        self, name: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path
    ) -> Identity:
        """Start a program and record it; nothing is left running unrecorded when this is interrupted."""
        identity = spawn(arguments, log, environment, folder)
        try:
            self.write({**self.read(), name: identity})
        except BaseException:
            end(identity)
            raise
        return identity

    def end_all(self, grace_seconds: float = 0.0) -> None:
        """End every recorded process, the latest first, and forget them."""
        for record in reversed(list(self.read().values())):
            end(record, grace_seconds)
        self.write({})
