"""Asks a cluster things through kubectl, and waits for what must become true."""

import json
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.errors import ClusterError

_COMMAND_SECONDS = 120.0
_READYZ_SECONDS = 2.0
_OK = 200


@dataclass(frozen=True)
class Answer:
    """What a finished kubectl left."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """Whether kubectl ended with 0."""
        return self.returncode == 0


@dataclass(frozen=True)
class Kubectl:
    """A kubectl program and the cluster that it talks to.

    `cache` is where it keeps what it learns of the API server; None for the user's own folder.
    """

    program: Path
    kubeconfig: Path
    cache: Path | None = None

    def run(self, *arguments: str, stdin: str | None = None) -> Answer:
        """Run a command; a failure is an answer too."""
        kept = () if self.cache is None else (f"--cache-dir={self.cache}",)
        finished = subprocess.run(
            [str(self.program), f"--kubeconfig={self.kubeconfig}", *kept, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )
        return Answer(finished.returncode, finished.stdout, finished.stderr)

    def must(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a command that has to succeed and give its output."""
        answer = self.run(*arguments, stdin=stdin)
        if not answer.ok:
            raise ClusterError(f"`kubectl {' '.join(arguments)}` failed: {answer.stderr.strip()}")
        return answer.stdout

    def server_version(self) -> str | None:
        """Give the API server's version, or None when it does not answer."""
        answer = self.run("version", "--output=json", "--request-timeout=5s")
        if not answer.ok:
            return None
        return str(json.loads(answer.stdout).get("serverVersion", {}).get("gitVersion")) or None


def is_ready(server: str, authority: Path) -> bool:
    """Ask the API server at `server` whether it is ready; it answers that to anyone (KEP-4633)."""
    try:
        context = ssl.create_default_context(cafile=str(authority))
        with urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        ).open(f"{server}/readyz", timeout=_READYZ_SECONDS) as response:
            return bool(response.status == _OK)
    except (OSError, urllib.error.URLError):
        return False


def wait_until(condition: Callable[[], bool], seconds: float, every_seconds: float = 0.05) -> bool:
    """Wait until a condition holds; False when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_seconds)
    return True
