"""People of the end-to-end tests: users of the cluster by certificates that it signed, and what they do with aos."""

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from typer.testing import CliRunner

from aos.cli.main import app
from hack.cluster.kubectl import Answer, Kubectl
from hack.demo.access import Access
from hack.demo.people import Person, kubeconfig_of
from tests.e2e.installation import SALES, Installation, JsonObject, at, wait_for

LEAD = Person("e2e-lead", ("sales-leads",))
SECOND_LEAD = Person("e2e-second-lead", ("sales-leads",))
BOOKKEEPER = Person("e2e-bookkeeper", ("finance",))
SUPPORT = Person("e2e-support", ("support",))
SUPPORT_LEAD = Person("e2e-support-lead", ("support-leads",))
LAWYER = Person("e2e-lawyer", ("legal",))
BRAND = Person("e2e-brand", ("brand-leads",))
FINANCE_LEAD = Person("e2e-finance-lead", ("finance-leads",))


@dataclass(frozen=True)
class Finished:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


class User:
    """One person at their own terminal, in the namespace of their team."""

    def __init__(self, access: Access, person: Person, namespace: str = SALES) -> None:
        self.person = person
        self._access = access
        self._namespace = namespace
        self._kubeconfig: Path | None = None

    @property
    def kubeconfig(self) -> Path:
        if self._kubeconfig is None:
            self._kubeconfig = kubeconfig_of(self._access, self.person)
        return self._kubeconfig

    def aos(self, *arguments: str) -> Finished:
        common = ["--kubeconfig", str(self.kubeconfig), "-n", self._namespace]
        done = CliRunner().invoke(app, [*common, *arguments], prog_name="aos")
        return Finished(done.exit_code, done.stdout, done.stderr)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> Answer:
        return Kubectl(self._access.handle.program, self.kubeconfig).run(
            *arguments, "-n", self._namespace, stdin=stdin
        )

    def pending(self) -> list[str]:
        """Names of the requests that this person is asked about."""
        found = self.aos("pending", "-o", "name")
        assert found.code == 0, found.err
        return [line.rpartition("/")[2] for line in found.out.splitlines()]

    def approve(self, request: str) -> None:
        done = self.aos("approve", request, "--yes")
        assert done.code == 0, done.err

    def reject(self, request: str, comment: str) -> None:
        done = self.aos("reject", request, "-m", comment, "--yes")
        assert done.code == 0, done.err


def requests_of(aos: Installation, task: str) -> list[JsonObject]:
    """Every ApprovalRequest of a Task, the oldest first."""
    found = aos.items("approvalrequests", f"aos.dev/task={task}")
    return sorted(found, key=lambda one: (str(at(one, "metadata.creationTimestamp")), name_of(one)))


def name_of(found: JsonObject) -> str:
    return str(at(found, "metadata.name"))


def state(aos: Installation, request: str) -> JsonValue:
    return at(aos.get("approvalrequest", request), "status.state")


def asked(aos: Installation, task: str, *, but: str = "") -> str:
    """Wait until a call of the Task waits for people; return the request's name."""

    def pending() -> str | None:
        names = [name_of(one) for one in requests_of(aos, task) if at(one, "status.state") == "Pending"]
        return next((name for name in names if name != but), None)

    return wait_for(pending, f"a call of task {task} that waits for people")


def becomes(aos: Installation, request: str, wanted: str) -> None:
    """Wait until a request stands so."""
    wait_for(lambda: state(aos, request) == wanted or None, f"{request} to be {wanted}")


def patched(user: User, request: str, *decisions: JsonObject) -> Answer:
    """Write decisions past ``aos``, as anybody with kubectl can try to."""
    spec: JsonObject = {"spec": {"decisions": list(decisions)}}
    return user.kubectl("patch", "approvalrequest", request, "--type=merge", "-p", json.dumps(spec))
