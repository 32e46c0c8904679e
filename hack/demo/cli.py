"""The demonstration from its first step to the last, each with a line of progress."""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from aos.model.task import Task
from hack.cluster import backends
from hack.cluster.errors import ClusterError
from hack.cluster.paths import Paths
from hack.cluster.progress import say, step
from hack.demo import example, installation, proof
from hack.demo.access import Access, DemoError
from hack.demo.approval import AOS, APPROVER, Desk, run_aos
from hack.demo.diagnosis import diagnosis
from hack.demo.people import kubeconfig_of
from hack.demo.settings import MODEL_URL_VARIABLE, Settings
from hack.demo.work import Worked, run_task

_INTERRUPTED: Final = 130
_DENIED_CODE: Final = 1
_CLOCK_MARGIN: Final = timedelta(seconds=5)
"""Times of objects are whole seconds, and the clocks of two nodes are not the same."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; 0 when everything came out as promised."""
    options = parser().parse_args(arguments)
    access: Access | None = None
    try:
        paths = installation.paths()
        settings = Settings.from_environment(os.environ, paths.state)
        say(model_sentence(settings))
        access = _cluster(settings, paths)
        installation.load_image(access, settings)
        installation.install(access, settings)
        installation.apply_example(access, settings)
        desk = Desk(access, kubeconfig_of(access, APPROVER), asks=sys.stdin.isatty() and not options.yes)
        worked = run_task(desk)
        _show_output(worked.task)
        _show_proof(access, settings, worked)
        _explain(access)
        _say_how_to_go_on(desk, settings)
    except (ClusterError, subprocess.SubprocessError) as problem:
        say(f"error: {problem}")
        if access is not None:
            for block in diagnosis(access.kubectl):
                say(f"\n{block}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; `make demo` goes on from here, `make cluster-down` clears up")
        return _INTERRUPTED
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(prog="python -m hack.demo", description="AOS at work on a real Kubernetes.")
    top.add_argument(
        "--yes",
        action="store_true",
        help=f"let {APPROVER.name} approve the call that waits, and ask nobody; so it is, too, where there is no terminal",
    )
    return top


def _show(*lines: str) -> None:
    # Progress goes to standard error, and the two must not overtake each other in a log.
    print(*lines, sep="\n", flush=True)


def model_sentence(settings: Settings) -> str:
    """Return which model answers, so that nobody takes the script for a language model."""
    if settings.model is None:
        return (
            "the model in this demonstration is a script (examples/common/model.py), not a language model;"
            f" {MODEL_URL_VARIABLE} points it at a real one"
        )
    return f"the model in this demonstration is {settings.model.name} at {settings.model.url}"


def _cluster(settings: Settings, paths: Paths) -> Access:
    backend = backends.select(paths, control_plane=False, kubeconfig=settings.kubeconfig, kind_name=None)
    with step("a Kubernetes cluster"):
        backend.up()
    installation.build_image(settings)
    return Access(backend.handle(), paths)


def _show_output(task: Task) -> None:
    output = task.status.result.output if task.status.result else None
    _show(f"\nThe agent's output:\n{json.dumps(output, indent=2, ensure_ascii=False)}\n")


def _show_proof(access: Access, settings: Settings, worked: Worked) -> None:
    kubectl, task = access.kubectl, worked.task
    gateway = kubectl.must(
        "logs",
        "-n",
        installation.SYSTEM,
        "-l",
        "app.kubernetes.io/component=gateway",
        "--tail=-1",
        "--since=15m",
    )
    crm = kubectl.must("logs", "-n", example.SYSTEMS, "deployment/crm", "--tail=-1", "--since=15m")
    created, ended = task.metadata.creation_timestamp, task.status.completion_time
    if created is None or ended is None:
        raise DemoError(f"Task {task.key} does not say when it began and ended")
    found = proof.Proof(
        decisions=proof.decisions(gateway, task.metadata.name),
        accesses=proof.accesses(crm, created - _CLOCK_MARGIN, ended + _CLOCK_MARGIN),
        fingerprint=proof.fingerprint(access.secret(example.TEAM, example.credentials("crm"))),
        decided=worked.decided,
    )
    _show("What the gateway decided (its log):", *found.decision_table())
    _show("\nWhat reached the CRM meanwhile (its own log):", *found.access_table())
    _show(
        f"\nThe credential is that of Secret {example.TEAM}/crm-credentials ({found.fingerprint}…). The gateway put it in,"
        "\nin place of the token by which the agent's pod is known to the gateway and to nobody else.",
        *found.held_lines(),
        "",
    )
    judge(found, settings)


def judge(found: proof.Proof, settings: Settings) -> None:
    """Check what the logs say against what was promised.

    Raises:
        DemoError: they contradict it, or the scripted agent did not do its part.
    """
    if found.flaws:
        raise DemoError("; ".join(found.flaws))
    if found.allowed and not found.accesses:
        raise DemoError("the CRM's own log holds none of the calls that the gateway let through")
    if settings.model is not None and not found.denied:
        say(
            f"{settings.model.name} did not try anything that policy denies; the next lines tell what it would have met"
        )
    elif not found.allowed or not found.denied:
        raise DemoError(
            "the gateway's log should hold one allowed and one denied call of a tool, and does not"
        )
    elif len(found.decided) != 1:
        raise DemoError(f"one call should have waited for a person, and {len(found.decided)} did")


def _explain(access: Access) -> None:
    """Show why one call is allowed and another is denied; the agent tried both."""
    for call, arguments, expected in (
        ("crm.get_contact", '{"id": "emea-0001"}', 0),
        ("crm.export_contacts", '{"territory": "emea"}', _DENIED_CODE),
    ):
        asked = ["why", example.AGENT, call, "-n", example.TEAM, "--args", arguments]
        done = run_aos(access.handle.kubeconfig, "admin", asked)
        _show(done.stdout)
        if done.returncode != expected:
            raise DemoError(
                f"`aos why` ended with {done.returncode} where {expected} was expected: {done.stderr.strip()}"
            )


def _say_how_to_go_on(desk: Desk, settings: Settings) -> None:
    access = desk.access
    lines = [f"export KUBECONFIG={shlex.quote(str(access.handle.kubeconfig))}"]
    if shutil.which("kubectl") is None:
        lines.append(f"export PATH={shlex.quote(str(access.handle.program.parent))}:$PATH")
    lines += [
        "kubectl get aos -A",
        f"{AOS} status -A",
        f"KUBECONFIG={shlex.quote(str(desk.approver))} {AOS} pending -n {example.TEAM}  # as {APPROVER.name}",
        f"kubectl -n {example.TEAM} edit policy sales-baseline",
    ]
    if settings.kubeconfig is None:
        lines.append("make cluster-down")
    _show("The cluster stays up. Go on with:", *(f"  {line}" for line in lines), model_sentence(settings))
