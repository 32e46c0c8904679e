"""Starts one operator and stops it in good order."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from typing import Final

from aos.controllers.acting import RESOURCES
from aos.controllers.census import KINDS
from aos.controllers.health import health_server
from aos.controllers.notifications_settings import load_webhooks
from aos.controllers.running import Operator
from aos.controllers.settings import ControllerSettings
from aos.controllers.watching import kopf_running
from aos.kube.client import ApiClient
from aos.kube.credentials import CredentialsError
from aos.kube.errors import ApiError, NotFound
from aos.kube.identity import identity_in_pod
from aos.kube.lease import LeaseLostError
from aos.model.environment import SettingsError

_RETRY_SECONDS: Final = 2.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_log = logging.getLogger(__name__)


async def run_operator(settings: ControllerSettings, stop: asyncio.Event | None = None) -> None:
    """Run an operator until SIGTERM, SIGINT, or ``stop`` is set; then finish started work and give the lease back.

    Args:
        settings: of the process.
        stop: for callers that keep signals to themselves; without it signals are handled here.

    Raises:
        LeaseLostError: another replica leads now; begin anew.
        ApiError: the API server refused something without which there is no operator.
    """
    stopping = stop or asyncio.Event()
    async with await ApiClient.connect(settings.kubeconfig) as client:
        username = await _ready(client, stopping)
        if username is None:
            return
        with identity_in_pod(settings.pod_uid) as identity:
            operator = Operator(client, settings, username, identity)
            try:
                await _serve(operator, settings, stopping, handles_signals=stop is None)
            finally:
                operator.metrics.close()


def main() -> int:
    """Run the operator as a process, set up by the environment; return its exit code."""
    try:
        settings = ControllerSettings.from_environment(os.environ)
        load_webhooks(settings.notifications_file)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - there is no log yet
        return 2
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    try:
        asyncio.run(run_operator(settings))
    except LeaseLostError as error:
        _log.error("the operator ends, and stands by once it is started again: %s", error)
        return 1
    except (ApiError, CredentialsError) as error:
        _log.error("the operator ends: %s", error)
        return 1
    return 0


async def _ready(client: ApiClient, stopping: asyncio.Event) -> str | None:
    """Wait for the API server and its AOS kinds; return whom it takes the operator for, None if told to stop."""
    while not stopping.is_set():
        try:
            user = await client.self_subject_review()
            for kind in KINDS:
                async for _ in client.list_pages(RESOURCES[kind], page_size=1):
                    break
        except NotFound as error:
            _log.warning("the AOS kinds are not installed yet: %s", error)
        except ApiError as error:
            _log.warning("%s", error)
        else:
            return user.username
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), _RETRY_SECONDS)
    return None


async def _serve(
    operator: Operator, settings: ControllerSettings, stopping: asyncio.Event, *, handles_signals: bool
) -> None:
    async with (
        health_server(
            settings.listen_address,
            settings.health_port,
            sick=operator.sick,
            unready=operator.unready,
            metrics=operator.metrics,
        ),
        kopf_running(operator.objects, settings.kubeconfig, operator.relisted) as kopf_ended,
    ):
        with _signals(stopping) if handles_signals else contextlib.nullcontext():
            running = asyncio.create_task(operator.run(), name="operator")
            told = asyncio.create_task(_told(stopping), name="stop")
            try:
                await asyncio.wait({running, told, kopf_ended}, return_when=asyncio.FIRST_COMPLETED)
                if stopping.is_set():
                    _log.info("stopping")
                    await operator.drain()
            finally:
                await _end(running, told)
            for ended in (running, kopf_ended):
                if ended.done() and not ended.cancelled() and (error := ended.exception()) is not None:
                    raise error


async def _told(stopping: asyncio.Event) -> None:
    await stopping.wait()


async def _end(running: asyncio.Task[None], told: asyncio.Task[None]) -> None:
    running.cancel()
    told.cancel()
    await asyncio.wait({running, told})


@contextlib.contextmanager
def _signals(stopping: asyncio.Event) -> Iterator[None]:
    # Kopf has set handlers of its own by now; theirs would stop it before the work is done.
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
