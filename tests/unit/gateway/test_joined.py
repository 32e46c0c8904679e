import asyncio
from typing import cast

import pytest

from aos.gateway.joined import MAX_JOINED_BYTES, JoinedTransport


class Below(asyncio.Transport):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.told: list[bytes | str] = []
        self.protocol: asyncio.BaseProtocol | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.told.append(bytes(data))

    def close(self) -> None:
        self.told.append("close")

    def abort(self) -> None:
        self.told.append("abort")

    def is_closing(self) -> bool:
        return bool({"close", "abort"}.intersection(self.told))

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self.protocol is not None
        return self.protocol


@pytest.fixture
def below() -> Below:
    return Below()


def joined(below: Below) -> JoinedTransport:
    return JoinedTransport(below, asyncio.get_running_loop())


async def test_what_is_written_in_one_turn_leaves_in_one_piece(below: Below) -> None:
    transport = joined(below)
    transport.write(b"head")
    transport.write(bytearray(b"body"))
    assert below.told == []
    await asyncio.sleep(0)
    transport.write(b"next")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert below.told == [b"headbody", b"next"]


async def test_much_is_written_at_once_so_that_a_client_that_does_not_read_is_noticed(below: Below) -> None:
    transport = joined(below)
    transport.write(b"head")
    transport.write(b"x" * MAX_JOINED_BYTES)
    assert below.told == [b"head" + b"x" * MAX_JOINED_BYTES]
    await asyncio.sleep(0)
    assert len(below.told) == 1


async def test_closing_writes_what_was_held_back_and_aborting_does_not(below: Below) -> None:
    transport = joined(below)
    transport.write(b"last")
    transport.close()
    assert below.told == [b"last", "close"]
    assert transport.is_closing()
    other = Below()
    transport = joined(other)
    transport.write(b"lost")
    transport.abort()
    await asyncio.sleep(0)
    assert other.told == ["abort"]


async def test_all_else_goes_to_the_transport_below(below: Below) -> None:
    transport = joined(below)
    protocol = cast("asyncio.BaseProtocol", asyncio.Protocol())
    transport.set_protocol(protocol)
    assert transport.get_protocol() is protocol
    transport.pause_reading()
    transport.resume_reading()
    assert below.told == ["pause", "resume"]
    assert transport.get_extra_info("peername") == ("127.0.0.1", 1)
    assert transport.get_extra_info("nothing", 7) == 7
