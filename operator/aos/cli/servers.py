"""Starts the long-running parts of AOS and the agent's own process, each set up by its environment."""

import gc
import logging
import os
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager

from aos.cli.exits import ExitCode

_log = logging.getLogger(__name__)


def serve_operator() -> ExitCode:
    """Run the operator until it is told to stop, or another replica leads; return its exit code."""
    with loading():
        from aos.controllers.main import run_operator
        from aos.controllers.notifications_settings import load_webhooks
        from aos.controllers.settings import ControllerSettings
        from aos.model.environment import SettingsError

    try:
        settings = ControllerSettings.from_environment(os.environ)
        # What is wrong with them is told now, and not once this replica leads.
        load_webhooks(settings.notifications_file)
    except SettingsError as error:
        return _misconfigured(error)
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    return _serve("operator", run_operator(settings))


def serve_gateway() -> ExitCode:
    """Run the gateway until it is told to stop; return its exit code."""
    with loading():
        from aos.gateway.main import run_gateway
        from aos.gateway.settings import GatewaySettings
        from aos.model.environment import SettingsError

    try:
        settings = GatewaySettings.from_environment(os.environ)
    except SettingsError as error:
        return _misconfigured(error)
    return _serve("gateway", run_gateway(settings))


def serve_agent() -> int:
    """Do the Task of this pod; return the runtime's exit code."""
    from aos.agent.lean import keep_lean

    keep_lean()
    with loading():
        from aos.agent.main import main

    return main()


def serve_helper() -> int:
    """Be the helper of an agent's pod until it is told to stop; return its exit code."""
    with loading():
        from aos.agent.helper.main import main

    return main()


@contextmanager
def loading() -> Iterator[None]:
    """Import without the garbage collector: all of it stays, and to look through it as it grows is a quarter of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _serve(name: str, server: Coroutine[None, None, None]) -> ExitCode:
    import uvloop

    from aos.kube.credentials import CredentialsError
    from aos.kube.errors import ApiError
    from aos.kube.lease import LeaseLostError
    from aos.store.interface import StoreRefusedError

    try:
        uvloop.run(server)
    except (ApiError, CredentialsError, LeaseLostError, StoreRefusedError) as error:
        # It is started again by whoever watches it; a traceback would say nothing more.
        _log.error("the %s ends: %s", name, error)
        return ExitCode.FAILURE
    return ExitCode.SUCCESS


def _misconfigured(error: Exception) -> ExitCode:
    print(f"error: {error}", file=sys.stderr)
    return ExitCode.USAGE
