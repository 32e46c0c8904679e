import subprocess
import sys

import aos
from aos.agent.main import ExitCode
from aos.cli.entry import main

PROGRAM = [sys.executable, "-c", f"from {main.__module__} import main; main()"]


def test_an_agent_is_started_without_the_command_line() -> None:
    done = subprocess.run([*PROGRAM, "agent"], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.MISCONFIGURED
    assert "AOS_GATEWAY_URL" in done.stdout + done.stderr


def test_anything_else_is_a_command_line() -> None:
    done = subprocess.run([*PROGRAM, "--version"], env={}, capture_output=True, text=True, check=False)
    assert done.stdout == f"aos {aos.__version__}\n"
    helped = subprocess.run(
        [*PROGRAM, "agent", "--help"], env={}, capture_output=True, text=True, check=False
    )
    assert "Do the Task of an agent's pod" in helped.stdout
