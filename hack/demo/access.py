"""Asks the cluster of the demonstration: kubectl with bounded waits, and helm."""

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.cluster import programs
from hack.cluster.environment import inherited
from hack.cluster.errors import ClusterError
from hack.cluster.handle import Handle
from hack.cluster.kubectl import Kubectl
from hack.cluster.paths import Paths

HELM_SECONDS: Final = 240.0
_FIELD_MANAGER: Final = "aos-demo"


class DemoError(ClusterError):
    """A step did not come to its end; what to look at is printed with it."""


@dataclass(frozen=True)
class Access:
    """The cluster's administrator.

    Attributes:
        handle: the running cluster.
        paths: where tools are kept.
    """

    handle: Handle
    paths: Paths

    @property
    def kubectl(self) -> Kubectl:
        """The kubectl that fits the cluster."""
        return Kubectl(self.handle.program, self.handle.kubeconfig, self.handle.cache)

    def apply(self, manifests: str) -> None:
        """Make the cluster so, whatever was applied before by whom."""
        options = ("--server-side", "--force-conflicts", f"--field-manager={_FIELD_MANAGER}")
        self.kubectl.must("apply", *options, "-f", "-", stdin=manifests)

    def secret(self, namespace: str, name: str) -> str:
        """Return the key ``token`` of a Secret; empty if there is none."""
        answer = self.kubectl.must(
            "get", "secret", name, "-n", namespace, "--ignore-not-found", "-o", "jsonpath={.data.token}"
        )
        return base64.b64decode(answer).decode()

    def put_secret(self, namespace: str, name: str, token: str) -> None:
        """Make a Secret with the key ``token``; the value goes over standard input and no command line."""
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "type": "Opaque",
            "stringData": {"token": token},
        }
        self.apply(json.dumps(manifest))

    def rollout(self, namespace: str, *deployments: str, seconds: int) -> None:
        """Wait until these Deployments run what they should.

        Raises:
            DemoError: they do not in time.
        """
        for deployment in deployments:
            answer = self.kubectl.run(
                "rollout", "status", f"deployment/{deployment}", "-n", namespace, f"--timeout={seconds}s"
            )
            if not answer.ok:
                raise DemoError(
                    f"Deployment {namespace}/{deployment} did not become ready within {seconds} s"
                )

    def wait_ready(self, namespace: str, *objects: str, seconds: int) -> None:
        """Wait for the condition Ready of all of these.

        Raises:
            DemoError: it is not True of one in time; the message says what it is.
        """
        waiting = ("-n", namespace, "--for=condition=Ready")
        if self.kubectl.run("wait", *objects, *waiting, f"--timeout={seconds}s").ok:
            return
        for item in objects:
            if not self.kubectl.run("wait", item, *waiting, "--timeout=0s").ok:
                path = '{range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\\n"}{end}'
                said = self.kubectl.run("get", item, "-n", namespace, "-o", f"jsonpath={path}").stdout.strip()
                raise DemoError(
                    f"{item} in {namespace} is not ready after {seconds} s; its conditions:\n{said}"
                )

    def release_status(self, namespace: str, name: str) -> str:
        """Return how helm's release stands, such as ``deployed``; empty if there is none."""
        done = self._helm("status", name, f"--namespace={namespace}", "--output=json")
        if done.returncode != 0 and "not found" in done.stderr:
            return ""
        return str(json.loads(_output(done))["info"]["status"])

    def helm(self, *arguments: str) -> None:
        """Run helm.

        Raises:
            DemoError: it failed or took too long.
        """
        _output(self._helm(*arguments))

    def _helm(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        program = programs.tool(self.paths, "helm")
        command = [str(program), f"--kubeconfig={self.handle.kubeconfig}", *arguments]
        try:
            return subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=HELM_SECONDS, env=inherited()
            )
        except subprocess.TimeoutExpired as error:
            raise DemoError(f"`helm {arguments[0]}` did not end within {HELM_SECONDS:g} s") from error


def _output(done: "subprocess.CompletedProcess[str]") -> str:
    if done.returncode != 0:
        raise DemoError(f"`helm {done.args[2]}` failed: {done.stderr.strip()}")
    return done.stdout


def chart() -> Path:
    """Return the chart of this repository."""
    return Path(__file__).parents[2] / "charts" / "aos"
