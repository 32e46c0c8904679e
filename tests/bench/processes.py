"""Programs that a benchmark starts, and what they cost: processor time and memory as the kernel counts them."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 20.0

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_LOG_LINES = 20


class Program:
    """A running program and its children."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.process = process
        self._log = log

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self.process.pid

    def cpu_seconds(self) -> float:
        """Return the processor time that the program and its children have used."""
        return sum(cpu_seconds_of(pid) for pid in (self.pid, *_children(self.pid)))

    def resident_bytes(self) -> int:
        """Return the memory that the program holds, its children aside."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"{self.name} has ended")

    def check(self) -> None:
        """Check that the program still runs.

        Raises:
            RuntimeError: it has ended.
        """
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} has ended:\n{self.log_end()}")

    def wait_for_port(self, port: int) -> None:
        """Wait until something listens on the port of loopback."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex((LOOPBACK, port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} does not listen on port {port}:\n{self.log_end()}")

    def log_end(self) -> str:
        """Return the last lines that the program wrote to standard error."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:])

    def stop(self) -> None:
        """End the program, in good order if it can be had."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(
    name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """Start a program, give it, and end it. What it prints is read and thrown away, as a node's runtime reads it."""
    log = folder / f"{name}.log"
    with log.open("wb") as errors:
        drain = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        process = subprocess.Popen(
            command, stdout=drain.stdin, stderr=errors, env={**os.environ, **(environment or {})}
        )
    if drain.stdin is not None:
        drain.stdin.close()
    program = Program(name, process, log)
    try:
        yield program
    finally:
        program.stop()
        drain.wait()


def cpu_seconds_of(pid: int) -> float:
    """Return the processor time that a process has used."""
    # Fields are counted after the name, which stands in parentheses and may hold anything (proc(5), /proc/PID/stat).
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
