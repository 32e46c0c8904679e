import pytest
import typer

from aos.cli.execution import execute, explained
from aos.cli.exits import CommandError, ExitCode
from aos.kube.credentials import CredentialsError
from aos.kube.errors import (
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
    Target,
    Unauthorized,
    Unavailable,
)

TARGET = Target("create", "tasks", "sales/t1")


def run_into(error: BaseException) -> int:
    async def work() -> ExitCode:
        raise error

    with pytest.raises(typer.Exit) as caught:
        execute(work)
    return caught.value.exit_code


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (Unavailable(TARGET, 0, "ClientConnectorError", "no answer"), 4, "check that the cluster is up"),
        (Unauthorized(TARGET, 401, "Unauthorized", "who?"), 3, "renew the credentials"),
        (QuotaExceeded(TARGET, 403, "Forbidden", "exceeded quota: q"), 3, "wait for room"),
        (Forbidden(TARGET, 403, "Forbidden", "User eve cannot create"), 3, "can-i create tasks -A` tells"),
        (
            Forbidden(TARGET, 403, "Forbidden", 'eve cannot create "tasks" in the namespace "sales"'),
            3,
            "kubectl auth can-i create tasks -n sales` tells",
        ),
        (Forbidden(TARGET, 403, "Forbidden", "denied request: not now"), 3, "not now"),
        (NotFound(TARGET, 404, "", "404 page not found"), 3, "install AOS first"),
        (NotFound(TARGET, 404, "NotFound", 'tasks "t1" not found'), 3, '"t1" not found'),
        (Invalid(TARGET, 422, "Invalid", "spec.deadline: bad"), 3, "spec.deadline: bad"),
        (Conflict(TARGET, 409, "Conflict", "changed"), 3, "changed"),
    ],
)
def test_an_answer_of_the_api_server_has_its_exit_code_and_a_way_out(
    error: ApiError, code: int, says: str
) -> None:
    exit_code, message = explained(error)
    assert exit_code == code
    assert says in message
    assert "\n" not in message


def test_each_failure_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_into(CommandError(ExitCode.TIMED_OUT, "too late")) == 124
    assert run_into(CredentialsError("no API server is configured")) == 4
    assert run_into(Invalid(TARGET, 422, "Invalid", "bad")) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0] == "error: too late"
    assert lines[1].startswith("error: no API server is configured; ")
    assert lines[2] == "error: create tasks sales/t1: bad (422 Invalid)"


def test_ctrl_c_ends_with_130() -> None:
    assert run_into(KeyboardInterrupt()) == 130


def test_the_code_of_the_work_is_the_code_of_the_command() -> None:
    async def work() -> ExitCode:
        return ExitCode.FAILURE

    with pytest.raises(typer.Exit) as caught:
        execute(work)
    assert caught.value.exit_code == 1
