"""The node's first process: lays out its mounts and network, starts its programs, starts again what ends.

It runs as `python -I node_init.py SPEC` in namespaces of its own and imports nothing but the standard library.
Everything below it ends with it: the kernel takes processes, mounts, interfaces and rules along.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_TICK_SECONDS = 0.02
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 8.0
_STEADY_SECONDS = 30.0

# What the programs write below these stays in the state folder.
_OVERLAYS = ("etc", "var/lib", "var/log")
# Overlay upper folders and id-mapped mounts need a real file system below them, not another overlay.
_BINDS = ("lib/containerd", "lib/kubelet", "log/pods")


@dataclass
class Program:
    """A program and how it fares."""

    name: str
    arguments: tuple[str, ...]
    after: tuple[str, ...]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause_seconds: float = _FIRST_PAUSE_SECONDS
    not_before: float = 0.0


class Init:
    """Runs one node until it is killed."""

    def __init__(self, state: Path, hostname: str, programs: list[Program]) -> None:
        """Run `programs` on the node whose state stands in `state`."""
        self._state = state
        self._hostname = hostname
        self._programs = programs

    def prepare(self) -> None:
        """Name the host and lay out the mounts."""
        socket.sethostname(self._hostname)
        _run("mount", "--make-rprivate", "/")
        _run("mount", "-t", "tmpfs", "tmpfs", "/run")
        for folder in ("tmp", "kubelet-volume-plugins"):
            (Path("/run") / folder).mkdir()
        for place in _OVERLAYS:
            self._overlay(place)
        for place in _BINDS:
            own = self._state / "data" / place
            own.mkdir(parents=True, exist_ok=True)
            target = Path("/var") / place
            target.mkdir(parents=True, exist_ok=True)
            _run("mount", "--bind", str(own), str(target))
        _run("mount", "--make-rshared", "/")

    def _overlay(self, place: str) -> None:
        upper = self._state / "data" / "overlay" / place / "upper"
        work = upper.with_name("work")
        for folder in (upper, work):
            folder.mkdir(parents=True, exist_ok=True)
        options = f"lowerdir=/{place},upperdir={upper},workdir={work}"
        _run("mount", "-t", "overlay", "overlay", "-o", options, f"/{place}")

    def connect(self, marker: str, commands: list[list[str]]) -> None:
        """Wait for the interface and configure it."""
        while not self._marked(marker):
            time.sleep(_TICK_SECONDS)
        for command in commands:
            _run("ip", *command)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    def run(self) -> None:
        """Start what may start and reap what ended, for ever."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        while True:
            now = time.monotonic()
            for program in self._programs:
                if program.process is None and program.not_before <= now and self._may_start(program):
                    self._start(program, now)
            signal.sigtimedwait({signal.SIGCHLD}, _TICK_SECONDS)
            self._reap()

    def _marked(self, marker: str) -> bool:
        return (self._state / "markers" / marker).exists()

    def _may_start(self, program: Program) -> bool:
        return all(self._marked(marker) for marker in program.after)

    def _start(self, program: Program, now: float) -> None:
        with (self._state / "log" / f"{program.name}.log").open("ab") as log:
            program.process = subprocess.Popen(
                program.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **program.environment},
                cwd=self._state,
                start_new_session=True,
                preexec_fn=_unblock,  # noqa: PLW1509  # init has one thread
            )
        program.started = now

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for program in self._programs:
                if program.process is not None and program.process.pid == pid:
                    self._ended(program, os.waitstatus_to_exitcode(status))

    def _ended(self, program: Program, code: int) -> None:
        if program.process is not None:
            program.process.returncode = code
        program.process = None
        now = time.monotonic()
        if now - program.started > _STEADY_SECONDS:
            program.pause_seconds = _FIRST_PAUSE_SECONDS
        program.not_before = now + program.pause_seconds
        _say(f"{program.name} ended with {code}; it starts again in {program.pause_seconds} s")
        program.pause_seconds = min(2 * program.pause_seconds, _LONGEST_PAUSE_SECONDS)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def _run(*command: str) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        _say(f"`{' '.join(command)}` failed: {finished.stderr.strip()}")
        sys.exit(1)


def _say(message: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {message}", flush=True)


def main(path: str) -> None:
    """Run the node that the file at `path` describes."""
    spec = json.loads(Path(path).read_text())
    os.environ.update(spec["environment"])
    programs = [
        Program(item["name"], tuple(item["arguments"]), tuple(item["after"]), item["environment"])
        for item in spec["programs"]
    ]
    init = Init(Path(spec["state"]), spec["hostname"], programs)
    init.prepare()
    init.connect("network", spec["network"])
    init.run()


if __name__ == "__main__":
    main(sys.argv[1])
