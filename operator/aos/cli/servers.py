"""Starts the long-running parts of AOS and the agent's own process, each set up by its environment."""

import importlib
import os
import sys

from aos.cli.exits import ExitCode


def serve_operator() -> int:
    """Run the operator until it is told to stop; return its exit code."""
    import uvloop

    try:
        settings = importlib.import_module("aos.controllers.settings").ControllerSettings.from_environment(
            os.environ
        )
    except ValueError as error:
        return _misconfigured(error)
    uvloop.run(importlib.import_module("aos.controllers.main").run_operator(settings))
    return ExitCode.SUCCESS


def serve_gateway() -> int:
    """Run the gateway until it is told to stop; return its exit code."""
    import uvloop

    from aos.gateway.main import run_gateway
    from aos.gateway.settings import GatewaySettings, SettingsError

    try:
        settings = GatewaySettings.from_environment(os.environ)
    except SettingsError as error:
        return _misconfigured(error)
    uvloop.run(run_gateway(settings))
    return ExitCode.SUCCESS


def serve_agent() -> int:
    """Do the Task of this pod; return the runtime's exit code."""
    from aos.agent.main import main

    return main()


def _misconfigured(error: Exception) -> ExitCode:
    print(f"error: {error}", file=sys.stderr)
    return ExitCode.USAGE
