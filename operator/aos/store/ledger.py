"""What may be taken and what is given back: admission and settlement over cells. Pure: no I/O, no clock.

Everything that a job reads must have been put into the cells before (`missing`); a refusal changes nothing.
"""

from collections.abc import Container, Mapping, Sequence

from aos.store.cells import COUNTER, LEASE, WRITE, Cells, Held, OpenCall, OpenWrite, Write
from aos.store.interface import (
    Admission,
    AdmissionResult,
    Admitted,
    Charge,
    Completion,
    Duplicate,
    DuplicateCheck,
    Exhausted,
    LeaseRequest,
    RecordBusy,
)

_ADMITTED = Admitted()


def needs(cells: Cells, job: Admission | Completion) -> list[tuple[str, str]]:
    """Return kind and key of the cells that the job reads; of a completion, once its call is known."""
    if isinstance(job, Admission):
        keys = [(COUNTER, charge.counter) for charge in job.charges]
        record = "" if job.lease is None else job.lease.record
        writes = [check.key for check in job.duplicates]
    else:
        call = cells.calls.get(job.call)
        if call is None:
            return []
        keys = [(COUNTER, counter) for counter, _, _ in call.charges if counter in job.settled]
        record, writes = call.record, [write.key for write in call.writes]
    if record:
        keys.append((LEASE, record))
    keys.extend((WRITE, write) for write in writes)
    return keys


def missing(cells: Cells, job: Admission | Completion) -> list[str]:
    """Return keys of the cells that the job reads and that are not known yet."""
    return [kind + name for kind, name in needs(cells, job) if name not in cells.tables[kind]]


def admit(cells: Cells, admission: Admission, now_ms: int) -> AdmissionResult:
    """Take all that the call needs, or nothing.

    An identical write is looked for first, since it needs nothing; then the record; then the counters.
    """
    repeated = _repeated(cells, admission.duplicates)
    refused = (
        _duplicate(cells, admission.duplicates, repeated, now_ms)
        or _busy(cells, admission.lease, repeated, now_ms)
        or _exhausted(cells, admission.charges, now_ms)
    )
    if refused is not None:
        return refused
    expires_ms = now_ms + admission.expires_seconds * 1000
    call = OpenCall(expires_ms, _take(cells, admission.charges, now_ms))
    if admission.lease is not None:
        call.record, call.lease_seconds = admission.lease.record, admission.lease.seconds
        _lease(cells, admission.lease, admission.call, now_ms, expires_ms)
    sent_as = next(iter(repeated.values()), "")
    for check in admission.duplicates:
        _write(cells, admission, check, call, sent_as, now_ms)
    cells.calls[admission.call] = cells.opened[admission.call] = call
    return Admitted(sent_as) if sent_as else _ADMITTED


def finish(cells: Cells, completion: Completion, now_ms: int, max_result_bytes: int) -> bool:
    """Settle a call; whether it was open, so that its outcome is to be written."""
    call = cells.calls.get(completion.call)
    if call is None or completion.call in cells.finished:
        return False
    if completion.settled:
        _settle(cells, call, dict(completion.settled))
    if call.record:
        _end_lease(cells, call, completion, now_ms)
    result = completion.result
    if result is not None and len(result) > max_result_bytes:
        result = None
    for write in call.writes:
        _end_write(cells, call, write, completion, result, now_ms)
    if cells.opened.pop(completion.call, None) is None:
        cells.finished.add(completion.call)
    else:
        del cells.calls[completion.call]
    return True


def _repeated(cells: Cells, checks: Sequence[DuplicateCheck]) -> Mapping[str, str]:
    """Return the calls that are made again, each with the one that it was first sent as.

    They are identical ones that do no harm twice, and of which no answer is known.
    """
    found = (cells.writes[check.key] for check in checks if check.repeats)
    return {
        write.call: write.sent_as or write.call
        for write in found
        if write is not None and write.result is None
    }


def _duplicate(
    cells: Cells, checks: Sequence[DuplicateCheck], repeated: Container[str], now_ms: int
) -> Duplicate | None:
    for check in checks:
        write = cells.writes[check.key]
        if write is None or write.maker == check.maker or write.call in repeated:
            continue
        under_way = write.open_until_ms > now_ms
        if under_way or now_ms < write.since_ms + min(check.seconds, write.seconds) * 1000:
            return Duplicate(
                result=write.result, call=write.call, task=write.task, agent=write.agent, under_way=under_way
            )
    return None


def _busy(
    cells: Cells, request: LeaseRequest | None, repeated: Container[str], now_ms: int
) -> RecordBusy | None:
    held = None if request is None else cells.leases[request.record]
    if request is None or held is None or held.task_uid == request.task_uid or held.expires_ms <= now_ms:
        return None
    if held.task_ended and all(call in repeated or until <= now_ms for call, until in held.calls.items()):
        # All that an ended Task still holds the record for is the very write that is made again.
        return None
    return RecordBusy(held.lease())


def _exhausted(cells: Cells, charges: Sequence[Charge], now_ms: int) -> Exhausted | None:
    asked: dict[str, int] = {}
    for charge in charges:
        counter = cells.counters[charge.counter]
        used = counter.used(now_ms, charge.window_seconds) + asked.get(charge.counter, 0)
        over = used + charge.amount - charge.limit
        if over > 0:
            frees = counter.frees_after(now_ms, charge.window_seconds, over)
            return Exhausted(charge, used, frees)
        asked[charge.counter] = asked.get(charge.counter, 0) + charge.amount
    return None


def _take(cells: Cells, charges: Sequence[Charge], now_ms: int) -> list[tuple[str, int, int]]:
    taken = []
    for charge in charges:
        counter = cells.counters[charge.counter]
        counter.owner = charge.owner
        end = counter.charge(now_ms, charge.window_seconds, charge.amount)
        cells.dirty_counters.add(charge.counter)
        taken.append((charge.counter, end, charge.amount))
    return taken


def _lease(cells: Cells, request: LeaseRequest, call: str, now_ms: int, expires_ms: int) -> None:
    held = cells.leases[request.record]
    if held is None or held.task_uid != request.task_uid:
        held = cells.leases[request.record] = Held(
            record=request.record,
            task_uid=request.task_uid,
            task=request.task,
            agent=request.agent,
            namespace=request.namespace,
            until_ms=0,
            calls={},
        )
    held.calls = {other: until for other, until in held.calls.items() if until > now_ms}
    # Of what was held before, and of what this call adds once it is done, the call itself changes nothing.
    held.calls[call] = expires_ms + request.seconds * 1000
    cells.dirty_leases.add(request.record)


def _settle(cells: Cells, call: OpenCall, settled: dict[str, int]) -> None:
    for counter, end, amount in call.charges:
        real = settled.get(counter)
        if real is None:
            continue
        if real != amount:
            cells.counters[counter].settle(end, real - amount)
            cells.dirty_counters.add(counter)
        # Where one counter was charged twice, the first charge takes all that was really used.
        settled[counter] = 0


def _end_lease(cells: Cells, call: OpenCall, completion: Completion, now_ms: int) -> None:
    held = cells.leases[call.record]
    # Freed, or taken by another Task since.
    if held is None or held.calls.pop(completion.call, None) is None:
        return
    # A call that was made again took the record over from one that may still be under way.
    was_not_made = completion.forget_lease and not any(write.sent_as for write in call.writes)
    if not held.task_ended and not was_not_made:
        held.until_ms = max(held.until_ms, now_ms + call.lease_seconds * 1000)
    cells.dirty_leases.add(call.record)


def _write(
    cells: Cells, admission: Admission, check: DuplicateCheck, call: OpenCall, sent_as: str, now_ms: int
) -> None:
    intent = admission.intent
    call.writes.append(OpenWrite(check.key, check.seconds, check.maker, sent_as))
    call.task, call.agent = intent.task, intent.agent
    known = cells.writes[check.key]
    if known is not None and known.maker == check.maker and known.expires_ms > now_ms:
        # The Task, or attempt, repeats its own write: what is known of the first stays, whatever becomes of the second.
        return
    cells.writes[check.key] = Write(
        call=admission.call,
        maker=check.maker,
        task=intent.task,
        agent=intent.agent,
        at_ms=now_ms,
        seconds=check.seconds,
        open_until_ms=call.expires_ms,
        sent_as=sent_as,
    )
    cells.dirty_writes.add(check.key)


def _end_write(
    cells: Cells, call: OpenCall, write: OpenWrite, completion: Completion, result: bytes | None, now_ms: int
) -> None:
    known = cells.writes[write.key]
    if known is not None and known.call != completion.call and known.maker != write.maker:
        # This call took longer than it may, and another one's write stands there since.
        return
    if completion.forget_duplicate and not write.sent_as:
        if known is not None and known.call == completion.call:
            cells.writes[write.key] = None
            cells.dirty_writes.add(write.key)
        return
    # Of one that was made again nobody knows more than before, where this time it was not made.
    result = None if completion.forget_duplicate else result
    cells.writes[write.key] = Write(
        call=completion.call,
        maker=write.maker,
        task=call.task,
        agent=call.agent,
        at_ms=now_ms,
        seconds=write.seconds,
        open_until_ms=0,
        result=result,
        sent_as=write.sent_as,
    )
    cells.dirty_writes.add(write.key)
