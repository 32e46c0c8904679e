"""One PostgreSQL server: made, started, stopped, killed and started again, in a folder that goes with it."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from hack.postgres.programs import ensure

USER = "aos"
LOOPBACK = "127.0.0.1"
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_LOG_LINES = 20
_NOBODY = 65_534


class Server:
    """A server on one address and on a socket in its folder; its processes belong to a user without rights."""

    def __init__(self, programs: Path, folder: Path, *, durable: bool, address: str = LOOPBACK) -> None:
        """Make nothing yet.

        Args:
            programs: PostgreSQL's.
            folder: for all that the server writes.
            durable: whether it waits for the disk, as a real one does.
            address: of this machine, where it listens; whoever knows the password may connect there.
        """
        self._programs = programs
        self._folder = folder
        self._durable = durable
        self._address = address
        self._owner = _owner()
        self._password = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind((address, 0))
            self.port: int = probe.getsockname()[1]

    def make(self) -> None:
        """Make the server's files."""
        password = self._folder / "password"
        password.write_text(self._password)
        for path in (self._folder, password):
            if self._owner is not None:
                os.chown(path, *self._owner)
        command = ("initdb", "--username", USER, "--pwfile", str(password), "--auth-host=scram-sha-256")
        data = str(self._folder / "data")
        self._run(*command, "--auth-local=trust", "--encoding=UTF8", "--no-locale", "--no-sync", data)
        if self._address != LOOPBACK:
            with (self._folder / "data/pg_hba.conf").open("a") as rules:
                rules.write("host all all all scram-sha-256\n")

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = {
            "listen_addresses": self._address,
            "port": str(self.port),
            "unix_socket_directories": str(self._folder),
            "max_connections": "200",
            "fsync": "on" if self._durable else "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", *options],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                user=self._user(),
                group=self._group(),
                extra_groups=self._groups(),
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            ready = self._folder / "data/postmaster.pid"
            if ready.exists() and "ready" in ready.read_text():
                return
            time.sleep(0.02)
        raise RuntimeError(f"PostgreSQL does not start:\n{self._log_end()}")

    def stop(self, *, at_once: bool = False) -> None:
        """Stop the server; ``at_once``: as if the power had failed, so that it recovers when it starts."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, over TCP."""
        return f"postgresql://{USER}:{self._password}@{self._address}:{self.port}/{quote(database)}"

    def socket_url(self, database: str = "postgres") -> str:
        """Return the URL of a database, over the socket."""
        return f"postgresql://{USER}@/{quote(database)}?host={quote(str(self._folder), safe='')}&port={self.port}"

    def _run(self, program: str, *arguments: str) -> None:
        finished = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            user=self._user(),
            group=self._group(),
            extra_groups=self._groups(),
        )
        if finished.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{finished.stderr}")

    def _user(self) -> int | None:
        return None if self._owner is None else self._owner[0]

    def _group(self) -> int | None:
        return None if self._owner is None else self._owner[1]

    def _groups(self) -> list[int] | None:
        """Return the further groups of the server's user: none, and of one's own those there are."""
        return None if self._owner is None else []

    def _log_end(self) -> str:
        log = self._folder / "log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


@contextmanager
def running(*, durable: bool, address: str = LOOPBACK) -> Iterator[Server]:
    """Run a server of one's own; what it is given is as for `Server`.

    Raises:
        PrerequisiteError: PostgreSQL is not there, and can't be installed.
    """
    programs = ensure()
    folder = Path(tempfile.mkdtemp(prefix="aos-postgres-"))
    server = Server(programs, folder, durable=durable, address=address)
    try:
        server.make()
        server.start()
        yield server
    finally:
        # Nothing of it is kept: there is nothing to write before it ends.
        server.stop(at_once=True)
        shutil.rmtree(folder)


def _owner() -> tuple[int, int] | None:
    """Return user and group that the server runs as: not root, which PostgreSQL refuses; None for one's own."""
    if os.geteuid() != 0:
        return None
    found = {user.pw_name: (user.pw_uid, user.pw_gid) for user in pwd.getpwall()}
    return found.get("postgres") or found.get("nobody") or (_NOBODY, _NOBODY)
