"""The helper's process: it passes requests on until it is told to end, which it is after the image has ended."""

import asyncio
import os
import signal
import sys
from enum import IntEnum

from aos.agent.helper.delivery import Delivery
from aos.agent.helper.inbox import Inbox
from aos.agent.helper.origin import Origin, Trust
from aos.agent.helper.proxy import Proxy
from aos.agent.helper.settings import HelperSettings
from aos.agent.journal import Journal, Level
from aos.agent.settings import SettingsError


class ExitCode(IntEnum):
    """How the process ends."""

    ENDED = 0
    """It was told to."""
    MISCONFIGURED = 2
    """The environment is incomplete, or the port is taken."""
    DEFECT = 3
    """It can't hand Tasks to the image any more; started again it can."""


def main() -> int:
    """Run the helper that the environment describes and return the process's exit code (an :class:`ExitCode`)."""
    try:
        settings = HelperSettings.from_environment(os.environ)
        return asyncio.run(_run_until_told(settings))
    except (SettingsError, OSError) as error:
        Journal(sys.stdout).write("gave up", Level.ERROR, message=str(error))
        return ExitCode.MISCONFIGURED


async def _run_until_told(settings: HelperSettings) -> ExitCode:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await run_helper(settings, stop)


async def run_helper(
    settings: HelperSettings, stop: asyncio.Event, listening: "asyncio.Future[int] | None" = None
) -> ExitCode:
    """Pass requests on, and Tasks where there is an A2A server, until ``stop`` is set; return how the process ends.

    What the image had not ended by then is for the operator to tell: it sees how the image's container ended.

    Args:
        settings: of the helper.
        stop: set to end.
        listening: told the port once connections are accepted.

    Raises:
        OSError: the port is taken.
    """
    journal, bounds = Journal(), settings.bounds
    gateway = Origin(settings.gateway_host, settings.gateway_port, bounds, Trust(settings.ca_file))
    proxy = Proxy(gateway, settings.token_file, bounds, journal)
    server = await proxy.listen(settings.port)
    port = server.sockets[0].getsockname()[1]
    journal.write("listening", port=port)
    if listening is not None:
        listening.set_result(port)
    delivering = asyncio.create_task(_deliver(settings, gateway, proxy, journal))
    try:
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, delivering}, return_when=asyncio.FIRST_COMPLETED)
        if delivering.done():
            if error := delivering.exception():
                # Who stays would take no Task any more. Its container is started again, and fails the Task at hand.
                journal.write("gave up", Level.ERROR, message=f"unexpected {type(error).__name__}")
                return ExitCode.DEFECT
            await stopping
        return ExitCode.ENDED
    finally:
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)
        server.close()
        await proxy.close()
        gateway.close()


async def _deliver(settings: HelperSettings, gateway: Origin, proxy: Proxy, journal: Journal) -> None:
    if settings.server is None:
        return

    def works_on(uid: str) -> None:
        proxy.task_uid = uid

    inbox = Inbox(gateway, proxy.token, settings.bounds, journal)
    delivery = Delivery(settings.server, inbox, settings.marker, settings.bounds, journal, works_on)
    await delivery.run(settings.tasks)
