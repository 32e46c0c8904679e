"""How the HTTP client finds the addresses of tools and models, with a name server that never answers."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import uvloop
from aiohttp import AsyncResolver

from aos.gateway.upstream.http_client import HttpClient
from aos.gateway.upstream.upstream_error import UpstreamError
from tests.unit.gateway_upstream.test_http_client import OK, always, ask, server

NAMES = 40


class SilentNameServer(asyncio.DatagramProtocol):
    """Takes every question, and answers none."""

    def __init__(self, enough: int) -> None:
        self._enough = enough
        self._asked: set[bytes] = set()
        self.is_asked = asyncio.Event()

    def datagram_received(self, data: bytes, _address: tuple[str, int]) -> None:
        self._asked.add(data[12:].split(b"\0")[0])
        if len(self._asked) == self._enough:
            self.is_asked.set()


@asynccontextmanager
async def silent_name_server(enough: int) -> AsyncGenerator[tuple[SilentNameServer, AsyncResolver]]:
    """Give a name server that says when it was asked for ``enough`` names, and a resolver that asks it."""
    transport, asked = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: SilentNameServer(enough), ("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    try:
        yield asked, AsyncResolver(nameservers=["127.0.0.1"], udp_port=port, tcp_port=port)
    finally:
        transport.close()


def test_names_that_nobody_answers_for_hold_up_no_other_connection() -> None:
    async def main() -> None:
        async with (
            server(always(OK)) as url,
            silent_name_server(NAMES) as (asked, names),
            HttpClient(60, names=names) as client,
        ):
            lost = [
                asyncio.create_task(ask(client, f"http://crm-{number}.example/")) for number in range(NAMES)
            ]
            # All of them are looked up at once, on the loop that the gateway runs on.
            async with asyncio.timeout(30):
                await asked.is_asked.wait()
            assert await ask(client, url.replace("127.0.0.1", "localhost")) == (200, b"ok")
            assert not any(task.done() for task in lost)
            for task in lost:
                task.cancel()
            await asyncio.gather(*lost, return_exceptions=True)

    uvloop.run(main())


async def test_a_name_that_is_not_found_in_time_is_told_so() -> None:
    async with silent_name_server(1) as (_, names), HttpClient(0.05, names=names) as client:
        with pytest.raises(UpstreamError, match="no connection was made in time"):
            await ask(client, "http://crm.example/")


async def test_a_name_without_addresses_is_told_so() -> None:
    nobody = AsyncResolver(nameservers=["127.0.0.1"], udp_port=1, tcp_port=1, timeout=0.05, tries=1)
    async with HttpClient(20, names=nobody) as client:
        with pytest.raises(UpstreamError) as raised:
            await ask(client, "http://crm.example/")
    assert raised.value.message == "no connection was made"


async def test_the_next_address_of_a_name_is_tried_when_one_answers_nothing() -> None:
    """The server listens on one of the two addresses that localhost has where there is IPv6, and on its only one elsewhere."""
    async with server(always(OK)) as url, HttpClient(5) as client:
        assert await ask(client, url.replace("127.0.0.1", "localhost")) == (200, b"ok")
