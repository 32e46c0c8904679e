import os
import subprocess
import sys

PROGRAM = "from aos.cli.main import complete; complete()"


def completed(*words: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_kubectl_is_told_the_commands_that_begin_so() -> None:
    assert completed("pe") == ["pending", ":4"]


def test_kubectl_is_told_every_command_where_none_has_begun() -> None:
    assert {"approve", "reject", "watch", ":4"} <= set(completed(""))


def test_kubectl_is_told_the_formats_of_an_option() -> None:
    assert completed("pending", "-o", "t") == ["table", ":4"]


def test_where_no_api_server_answers_no_name_is_offered_and_nothing_is_said() -> None:
    assert completed("approve", "--kubeconfig", "/none", "apr-") == [":4"]
