"""Where ``aos`` begins. An agent starts for each Task, so its start does without all that describes a command line."""

import sys


def main() -> None:
    """Run the agent if that is all that is asked for, else the command line."""
    if sys.argv[1:] == ["agent"]:
        from aos.cli.servers import serve_agent

        sys.exit(serve_agent())
    from aos.cli.main import main as run_command_line

    run_command_line()
