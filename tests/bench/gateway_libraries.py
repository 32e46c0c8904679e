"""A proxy that asks of libraries what the gateway asks of them for one call, and decides nothing by it.

It is the least that a gateway in Python on these libraries could cost: what it lacks is all that is AOS's own, the
decision with its reasons, counters and leases, bounds, errors, names. So what it costs beside a bare proxy is a floor.

``python -m tests.bench.gateway_libraries PORT UPSTREAM_PORT CERTIFICATE KEY STORE``.
"""

import asyncio
import hashlib
import os
import sqlite3
import sys
import time
from collections import deque
from datetime import UTC, datetime
from typing import Final

import jsonschema_rs
import orjson
import re2
from cel_expr_python import cel

from aos.gateway.upstream.http_client import HttpClient, Waits
from aos.inspection.detect_pii import DETECTORS as PII
from aos.inspection.detect_secret import DETECTORS as SECRET
from tests.bench.gateway_servers import SCHEMA, Receive, Scope, Send, answer, body_of, serve
from tests.bench.processes import LOOPBACK

CONDITION: Final = 'args.id.startsWith(agent.labels.territory + "-")'
"""Of the one rule of the bench's policy that has one."""
AGENT: Final = {"name": "enricher", "labels": {"territory": "emea"}, "owner": {"team": "revops"}}
GATHER_SECONDS: Final = 0.002
"""As the gateway waits for more after a transaction that several callers shared."""
COUNTERS: Final = ("calls", "daily", "identical", "per-task")
"""As many as the bench's policy has limits, budgets and bounds on loops that a call is counted by."""
CHECKPOINT_TRANSACTIONS: Final = 250
WAITS: Final = Waits(whole_seconds=30.0)

Row = tuple[bytes, bytes, bytes]


class Store:
    """Rows and counters in SQLite: what comes while the disk is waited for goes into the next transaction."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "PRAGMA wal_autocheckpoint = 0",
            "CREATE TABLE rows (sequence INTEGER PRIMARY KEY, hash BLOB, previous BLOB, event BLOB) STRICT",
            "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER) STRICT",
        ):
            self._connection.execute(statement)
        self._rows: list[Row] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._previous = b"\0" * 32
        self._calls = 0
        self._transactions = 0
        self._is_busy = False
        self._loop = asyncio.get_running_loop()

    def add(self, event: dict[str, object]) -> None:
        """Chain an event; it is stored with the next transaction."""
        content = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
        digest = hashlib.sha256(self._previous + content).digest()
        self._rows.append((digest, self._previous, content))
        self._previous = digest

    async def admit(self, event: dict[str, object]) -> None:
        """Chain an event, count a call, and return once both are on disk."""
        self.add(event)
        self._calls += 1
        done = self._loop.create_future()
        self._waiting.append(done)
        if not self._is_busy:
            self._begin()
        await done

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        rows, self._rows = self._rows, []
        self._is_busy = True
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO rows (hash, previous, event) VALUES (?, ?, ?)", rows)
        connection.executemany(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [(name, self._calls) for name in COUNTERS],
        )
        committed = self._loop.run_in_executor(None, self._commit)
        committed.add_done_callback(lambda _: self._committed(waiting))

    def _commit(self) -> None:
        self._connection.execute("COMMIT")
        self._transactions += 1
        if self._transactions % CHECKPOINT_TRANSACTIONS == 0:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _committed(self, waiting: deque[asyncio.Future[None]]) -> None:
        for done in waiting:
            done.set_result(None)
        if len(waiting) > 1:
            self._loop.call_later(GATHER_SECONDS, self._next)
        else:
            self._next()

    def _next(self) -> None:
        self._is_busy = False
        if self._waiting:
            self._begin()


class LibrariesApp:
    """Reads, checks, evaluates, searches, stores, forwards, searches, stores, answers, and writes a line."""

    def __init__(self, upstream_port: int, path: str) -> None:
        self._url = f"http://{LOOPBACK}:{upstream_port}/mcp"
        self._path = path
        self._schema = jsonschema_rs.validator_for(SCHEMA)
        mapping = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
        self._environment = cel.NewEnv(variables={"args": mapping, "agent": mapping})
        self._condition = self._environment.compile(CONDITION)
        options = re2.Options()
        options.max_mem = 64 * 1024 * 1024
        self._hints = re2.Set.SearchSet(options)
        for detector in (*PII, *SECRET):
            self._hints.Add(detector.hint.encode())
        self._hints.Compile()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        store, client = self._opened()
        body = await body_of(receive)
        message = orjson.loads(body)
        arguments = message["params"]["arguments"]
        if not self._schema.is_valid(arguments):
            raise ValueError("the call does not fit its schema")
        bound = self._environment.Activation({"args": arguments, "agent": AGENT})
        if self._condition.eval(bound).value() is not True:
            raise ValueError("the condition does not hold")
        written = orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)
        digest = hashlib.sha256(written).hexdigest()
        self._hints.Match(written)
        await store.admit(_event("Intent", digest))
        response = await client.request(
            "POST", self._url, {"Content-Type": "application/json"}, orjson.dumps(message), WAITS
        )
        answered = orjson.loads(await response.read())
        response.release()
        content = orjson.dumps(answered["result"])
        self._hints.Match(content)
        store.add(_event("Outcome", digest))
        await answer(send, response.status, orjson.dumps(answered))
        os.write(sys.stdout.fileno(), orjson.dumps(_event("decision", digest)) + b"\n")

    def _opened(self) -> tuple[Store, HttpClient]:
        if not hasattr(self, "_store"):
            self._store = Store(self._path)
            self._client = HttpClient(5.0)
        return self._store, self._client


def _event(phase: str, digest: str) -> dict[str, object]:
    """Return as much as an audit row of the bench's call says."""
    return {
        "phase": phase,
        "call": os.urandom(16).hex(),
        "time": datetime.now(UTC).isoformat(),
        "namespace": "sales",
        "agent": "enricher",
        "pod": "bench-pod",
        "pod_uid": "6a7e3a4e-0000-4000-8000-000000000000",
        "revision": "enricher-1",
        "revision_digest": f"sha256:{digest}",
        "task": "bench",
        "task_uid": "6a7e3a4e-0000-4000-8000-000000000001",
        "requested_by": "ana@example.com",
        "subject": "tool",
        "name": "crm",
        "action": "get_contact",
        "access": "Read",
        "risk": "Low",
        "arguments_digest": f"sha256:{digest}",
        "policy_digest": f"sha256:{digest}",
        "effect": "Allow",
        "reason": "Allowed",
        "rules": ["Policy/sales/baseline/read-own-territory"],
        "outcome": "Completed",
        "duration_ms": int(time.monotonic()) % 1000,
    }


def main(arguments: list[str]) -> None:
    """Run the server until it is told to stop."""
    match arguments:
        case [port, upstream, certificate, key, store]:
            app = LibrariesApp(int(upstream), store)
            serve(app, int(port), ssl_certfile=certificate, ssl_keyfile=key)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
