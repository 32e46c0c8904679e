"""One request, sent again and again over TLS on loopback: by wrk, or by a slower client of our own where wrk is not."""

import asyncio
import json
import shutil
import ssl
import statistics
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import LOOPBACK

_MARK = "RESULT "
_TIMEOUT_SECONDS = 30

_SCRIPT = """
wrk.method = "POST"
wrk.body = %s
for name, value in pairs(%s) do wrk.headers[name] = value end
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '%s{"requests": %%d, "seconds": %%f, "p50": %%f, "p99": %%f, "errors": %%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass(frozen=True)
class Request:
    """What is sent: always a POST."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Load:
    """What was answered, and when."""

    requests: int
    seconds: float
    p50_seconds: float
    p99_seconds: float


def send(request: Request, port: int, connections: int, seconds: int, folder: Path) -> Load:
    """Send the request over so many connections for so long.

    Raises:
        RuntimeError: an answer was an error, or none came.
    """
    if shutil.which("wrk") is None:
        return asyncio.run(_sent(request, port, connections, seconds))
    script = folder / "load.lua"
    headers = ", ".join(f"[{_lua(name)}] = {_lua(value)}" for name, value in request.headers.items())
    script.write_text(_SCRIPT % (_lua(request.body.decode()), f"{{{headers}}}", _MARK))
    command = [
        "wrk",
        "--threads=1",
        f"--connections={connections}",
        f"--duration={seconds}s",
        f"--timeout={_TIMEOUT_SECONDS}s",
        f"--script={script}",
        f"https://{LOOPBACK}:{port}{request.path}",
    ]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result = json.loads(printed.partition(_MARK)[2].splitlines()[0])
    if result["errors"] or not result["requests"]:
        raise RuntimeError(f"{result['errors']} of {result['requests']} requests were not answered well")
    return Load(result["requests"], result["seconds"], result["p50"], result["p99"])


def send_once(request: Request, port: int) -> bytes:
    """Return the body of one answer.

    Raises:
        RuntimeError: it is an error.
    """

    async def sent() -> bytes:
        connection = await _Connection.open(port)
        try:
            return await connection.ask(_encoded(request, port))
        finally:
            connection.close()

    return asyncio.run(sent())


class _Connection:
    """One connection that asks and waits, and checks no certificate: all traffic stays on loopback."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "_Connection":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return cls(*await asyncio.open_connection(LOOPBACK, port, ssl=context))

    async def ask(self, content: bytes) -> bytes:
        self._writer.write(content)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.splitlines()
        fields = dict(line.lower().split(": ", 1) for line in lines if line)
        body = await self._reader.readexactly(int(fields["content-length"]))
        if " 200 " not in f"{status} ":
            raise RuntimeError(f"{status}: {body.decode(errors='replace')}")
        return body

    def close(self) -> None:
        self._writer.close()


async def _sent(request: Request, port: int, connections: int, seconds: int) -> Load:
    content = _encoded(request, port)
    durations: list[float] = []
    started = time.perf_counter()

    async def repeat() -> None:
        connection = await _Connection.open(port)
        while (before := time.perf_counter()) < started + seconds:
            await connection.ask(content)
            durations.append(time.perf_counter() - before)
        connection.close()

    await asyncio.gather(*(repeat() for _ in range(connections)))
    elapsed = time.perf_counter() - started
    p99 = statistics.quantiles(durations, n=100)[98]
    return Load(len(durations), elapsed, statistics.median(durations), p99)


def _encoded(request: Request, port: int) -> bytes:
    headers = {
        "Host": f"{LOOPBACK}:{port}",
        "Content-Length": str(len(request.body)),
        **request.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {request.path} HTTP/1.1\r\n{lines}\r\n".encode() + request.body


def _lua(text: str) -> str:
    """Return ``text`` as a string of Lua: its decimal escapes are the only ones that JSON does not share."""
    return (
        '"'
        + "".join(char if char.isalnum() else f"\\{byte:03d}" for char in text for byte in char.encode())
        + '"'
    )
