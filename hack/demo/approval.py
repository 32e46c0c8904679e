"""One held call, decided by a person: listed and shown as they see it, refused to whoever asked for the Task."""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aos.model.approval_request import ApprovalRequest, RequestState, RequestType, Verdict
from hack.cluster.progress import say
from hack.demo import example
from hack.demo.access import Access, DemoError
from hack.demo.people import Person
from hack.demo.proof import Decided

APPROVER: Final = Person("demo-approver", ("sales-leads",))
AOS: Final = Path(sys.executable).parent / "aos"
COMMAND_SECONDS: Final = 60.0
_REJECTION: Final = "not now"
_YES: Final = frozenset({"y", "yes"})
_LINE_END: Final = "\n"


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a person decides.

    Attributes:
        access: the administrator's, who asked for the Task.
        approver: kubeconfig of whoever decides.
        asks: whether somebody at the terminal is asked; else the approver says yes to everything.
    """

    access: Access
    approver: Path
    asks: bool

    def waiting(self, task: str) -> list[ApprovalRequest]:
        """Return the calls of a Task that wait for people."""
        shown = self.access.kubectl.must("get", "approvalrequests", "-n", example.TEAM, "-o", "json")
        requests = [ApprovalRequest.parse(item) for item in json.loads(shown)["items"]]
        return [request for request in requests if _waits(request, task)]

    def decide(self, request: ApprovalRequest) -> Decided:
        """Show the call to the approver, let the one who asked try in vain, and carry the decision out.

        Raises:
            DemoError: a command failed, or the one who asked could decide.
        """
        name = request.metadata.name
        self._show("pending")
        self._show("show", name)
        self._is_refused_to_the_requester(name)
        if self._says_yes(request):
            self._show("approve", name, "--yes")
            return Decided(request.spec.asked_call.action, Verdict.APPROVE)
        self._show("reject", name, "--yes", "-m", _REJECTION)
        return Decided(request.spec.asked_call.action, Verdict.REJECT)

    def _says_yes(self, request: ApprovalRequest) -> bool:
        if not self.asks:
            say(f"nobody is asked: {APPROVER.name} approves")
            return True
        print(f"\n{request.spec.summary}\nApprove as {APPROVER.name}? [y/N] ", end="", flush=True)
        return sys.stdin.readline().strip().lower() in _YES

    def _is_refused_to_the_requester(self, name: str) -> None:
        done = run_aos(self.access.handle.kubeconfig, "admin", ["approve", name, "--yes", "-n", example.TEAM])
        said = (done.stderr or done.stdout).strip()
        print(f"Whoever asked for the Task can't approve it: {said.partition(_LINE_END)[0]}", flush=True)
        if done.returncode == 0:
            raise DemoError(f"{name} was approved by the one who asked for the Task")

    def _show(self, *arguments: str) -> None:
        done = run_aos(self.approver, APPROVER.name, [*arguments, "-n", example.TEAM])
        print(done.stdout.rstrip(), flush=True)
        if done.returncode != 0:
            raise DemoError(
                f"`aos {arguments[0]}` as {APPROVER.name} ended with {done.returncode}: {done.stderr.strip()}"
            )


def _waits(request: ApprovalRequest, task: str) -> bool:
    return (
        request.spec.type is RequestType.CALL
        and request.spec.asked_call.task.name == task
        and request.status.state is RequestState.PENDING
        and not request.spec.decisions
    )


def run_aos(kubeconfig: Path, who: str, arguments: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run ``aos`` as whoever ``kubeconfig`` is of, and say so.

    Raises:
        DemoError: it did not end in time.
    """
    say(f"\n{who}$ aos {shlex.join(arguments)}")
    try:
        return subprocess.run(
            [str(AOS), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        )
    except subprocess.TimeoutExpired as error:
        raise DemoError(f"`aos {arguments[0]}` did not end within {COMMAND_SECONDS:g} s") from error
