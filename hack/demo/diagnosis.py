"""What a person needs to see when a step failed: pods, warnings and the last lines of the logs."""

from collections.abc import Iterator
from typing import Final

from hack.cluster.kubectl import Kubectl
from hack.demo import example
from hack.demo.installation import SYSTEM

_NAMESPACES: Final = (
    SYSTEM,
    example.MODELS,
    *(namespace for one in example.ALL.values() for namespace in (one.systems_namespace, one.name)),
)
_WARNINGS: Final = 8
_LOG_LINES: Final = 15
_PODS: Final = 5
"""The newest of a namespace, whose logs are shown."""


def diagnosis(kubectl: Kubectl) -> Iterator[str]:
    """Yield blocks of text about everything that the demonstration runs; what can't be asked is left out."""
    for namespace in _NAMESPACES:
        pods = kubectl.run("get", "pods", "-n", namespace, "-o", "wide").stdout.strip()
        if not pods:
            continue
        yield f"pods in {namespace}:\n{pods}"
        warnings = kubectl.run(
            "get", "events", "-n", namespace, "--field-selector=type=Warning", "--sort-by=.lastTimestamp"
        ).stdout.splitlines()
        if len(warnings) > 1:
            yield "\n".join([f"warnings in {namespace}:", *warnings[-_WARNINGS:]])
        yield from _logs(kubectl, namespace)


def _logs(kubectl: Kubectl, namespace: str) -> Iterator[str]:
    pods = kubectl.run("get", "pods", "-n", namespace, "--sort-by=.metadata.creationTimestamp", "-o", "name")
    for pod in pods.stdout.split()[-_PODS:]:
        # A container that has just been started again has said nothing yet; why it ended stands in the log before.
        for which in ([], ["--previous"]):
            log = kubectl.run("logs", pod, "-n", namespace, f"--tail={_LOG_LINES}", *which)
            if log.ok and log.stdout.strip():
                yield f"last lines of {namespace}/{pod}:\n{log.stdout.rstrip()}"
                break
