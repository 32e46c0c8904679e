from pathlib import Path

from typer.main import get_command

from aos.cli.exits import ExitCode
from aos.cli.main import app
from aos.policy.explanation import RuleVerdict

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
TYPERS_OWN = {"--help", "-h", "--show-completion"}


def test_every_command_and_option_is_on_the_page() -> None:
    top = get_command(app)
    commands = getattr(top, "commands", {})
    assert commands
    nested = [
        item
        for group in commands.values()
        for inner in getattr(group, "commands", {}).values()
        for item in (inner, *getattr(inner, "commands", {}).values())
    ]
    for command in (top, *commands.values(), *nested):
        names = {
            name for item in command.params for name in (*item.opts, *item.secondary_opts) if name[0] == "-"
        }
        missing = {name for name in names - TYPERS_OWN if f"`{name}" not in PAGE and f" {name}`" not in PAGE}
        assert not missing, f"{command.name}: {missing}"
    for name in commands:
        assert f"`aos {name}`" in PAGE


def test_every_exit_code_is_on_the_page() -> None:
    for code in ExitCode:
        assert f"| {code.value} | " in PAGE


def test_every_verdict_on_a_rule_is_on_the_page() -> None:
    from aos.cli.why import VERDICTS

    for verdict in RuleVerdict:
        assert f"| {VERDICTS[verdict]} | " in PAGE
