"""The bounds of the store: how much waits, how long, and how long what was closed is kept."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Bounds of one store, for both backends.

    Attributes:
        max_waiting: requests that may wait for a transaction; one more is refused at once.
        max_batch: requests that share one transaction.
        gather_seconds: how long a transaction waits for more to share it, after one that several callers shared.
        answer_seconds: how long a request waits for its answer before its caller is told that there is none.
        lock_wait_seconds: how long a transaction waits for another process's.
        retry_seconds: least time between two attempts to reach a store that could not be reached.
        closed_call_keep_seconds: how long a call whose holder did not finish in time may still be settled.
        idle_task_counter_seconds: how long a Task's own counter is kept that nothing was charged to, if the Task's
            end was never heard of; and a run's, whose end is never told: longer than any run may take.
        max_cached_cells: counters, leases and writes that are remembered between transactions, at about half a KiB each.
        max_result_bytes: a longer answer is not kept for identical writes; they are told that it was made, no more.
        max_document_bytes: longer documents are refused.
        min_free_bytes: with less space left on the volume of a SQLite file, `ping` fails; calls do once none is left.
        outcome_sync_seconds: how soon settlements and outcomes are on disk at the latest, where they have no intent to
            go with (SQLite; in PostgreSQL they are when `finish` returns).
        page_rows: rows that a query reads at once.
        purge_rows: rows that one transaction of retention deletes.
        pool_connections: connections to PostgreSQL for reading; one more writes.
        connect_seconds: how long reaching PostgreSQL may take.
    """

    max_waiting: int = 10_000
    max_batch: int = 256
    gather_seconds: float = 0.002
    answer_seconds: float = 15.0
    lock_wait_seconds: float = 5.0
    retry_seconds: float = 0.5
    closed_call_keep_seconds: int = 86_400
    idle_task_counter_seconds: int = 40 * 86_400
    max_cached_cells: int = 4_096
    max_result_bytes: int = 1_048_576
    max_document_bytes: int = 4_194_304
    min_free_bytes: int = 16_777_216
    outcome_sync_seconds: float = 0.2
    page_rows: int = 500
    purge_rows: int = 2_000
    pool_connections: int = 4
    connect_seconds: float = 5.0
