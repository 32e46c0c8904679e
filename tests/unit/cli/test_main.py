import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import aos
from aos.cli.connection import Connection
from aos.cli.main import app

BIN = Path(sys.executable).parent


def invoke(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments), prog_name="aos")
    return done.exit_code, done.stdout, done.stderr


def test_the_version_is_printed() -> None:
    assert invoke("--version") == (0, f"aos {aos.__version__}\n", "")


def test_help_names_every_command() -> None:
    code, out, _ = invoke("--help")
    assert code == 0
    for command in ("run", "why", "status", "operator", "gateway", "agent"):
        assert f"\n  {command} " in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("run",),
        ("run", "enricher", "-o", "xml"),
        ("run", "enricher", "-i", "novalue"),
        ("run", "enricher", "--input-json", "[1]"),
        ("run", "enricher", "--deadline", "soon"),
        ("why", "enricher"),
        ("why", "enricher", "no-dot"),
        ("why", "enricher", "crm.get", "--args", "1"),
        ("status", "--watch"),
    ],
)
def test_a_wrong_command_line_ends_with_two_and_no_traceback(arguments: tuple[str, ...]) -> None:
    code, out, err = invoke(*arguments)
    assert code == 2
    assert out == ""
    assert err
    assert "Traceback" not in err


def test_options_after_a_command_win_over_those_before_it() -> None:
    above = Connection(Path("a"), "one", "x")
    assert above.overridden_by(Connection()) == above
    assert above.overridden_by(Connection(Path("b"), None, "y")) == Connection(Path("b"), "one", "y")


def test_help_imports_nothing_that_only_a_command_needs() -> None:
    heavy = (
        "aiohttp",
        "kubernetes",
        "pydantic",
        "cel_expr_python",
        "kopf",
        "uvicorn",
        "openai",
        "mcp",
        "rich",
    )
    program = f"import sys; import aos.cli.main; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_plugin_of_kubectl_goes_by_its_name() -> None:
    done = subprocess.run([BIN / "kubectl-aos", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: kubectl aos ")


def test_an_agent_outside_a_pod_is_told_what_is_missing() -> None:
    done = subprocess.run(
        [BIN / "aos", "agent"], capture_output=True, text=True, check=False, env={"PATH": str(BIN)}
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "AOS_GATEWAY_URL" in done.stdout + done.stderr
