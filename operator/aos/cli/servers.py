"""Starts the long-running parts of AOS and the agent's own process, each as its package asks."""

import importlib
import os
import sys

from aos.cli.exits import ExitCode


def serve_operator() -> int:
    """Run the operator until it is told to stop; return its exit code."""
    return _serve("operator", "aos.controllers.main", "aos.reconcile.settings", "OperatorSettings")


def serve_gateway() -> int:
    """Run the gateway until it is told to stop; return its exit code."""
    return _serve("gateway", "aos.gateway.main", "aos.gateway.settings", "GatewaySettings")


def serve_agent() -> int:
    """Do the Task of this pod; return the runtime's exit code."""
    from aos.agent.main import main

    return main()


def _serve(name: str, main: str, settings: str, model: str) -> int:
    import uvloop

    try:
        said = getattr(importlib.import_module(settings), model).from_environment(os.environ)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USAGE
    run = getattr(importlib.import_module(main), f"run_{name}")
    return uvloop.run(run(said)) or ExitCode.SUCCESS
