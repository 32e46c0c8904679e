"""Runs the jobs of one transaction over cells and trail. Pure: the backend loads cells before and stores changes after."""

from collections.abc import Sequence

from aos.audit.codec import EventError
from aos.store.cells import Cells
from aos.store.interface import Admission, Admitted, Completion, StoreUnavailableError
from aos.store.ledger import admit, finish
from aos.store.requests import Job
from aos.store.trail import Trail, prepared


def run(jobs: Sequence[Job], cells: Cells, trail: Trail, now_ms: int, max_result_bytes: int) -> list[object]:
    """Do the jobs in order; return a result for each, or the error that it alone met."""
    return [_run(job, cells, trail, now_ms, max_result_bytes) for job in jobs]


def _run(job: Job, cells: Cells, trail: Trail, now_ms: int, max_result_bytes: int) -> object:
    try:
        if isinstance(job, Admission):
            content, at_us = prepared(job.intent)
            result = admit(cells, job, now_ms)
            if isinstance(result, Admitted):
                trail.add(job.intent, content, at_us)
            return result
        if isinstance(job, Completion):
            _finish(job, cells, trail, now_ms, max_result_bytes)
            return None
        rows = [(event, *prepared(event)) for event in job.events]
    except EventError as error:
        return StoreUnavailableError(f"the audit row can't be written: {error}")
    for event, content, at_us in rows:
        trail.add(event, content, at_us)
    return None


def _finish(job: Completion, cells: Cells, trail: Trail, now_ms: int, max_result_bytes: int) -> None:
    if job.outcome is None:
        finish(cells, job, now_ms, max_result_bytes)
        return
    content, at_us = prepared(job.outcome)
    if finish(cells, job, now_ms, max_result_bytes):
        trail.add(job.outcome, content, at_us)
