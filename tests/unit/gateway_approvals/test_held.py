from dataclasses import replace
from datetime import UTC, datetime

import pytest

from aos.gateway.approvals.held import HeldCall, Released
from aos.gateway.approvals.hooks import EVERY_CALL, NO_PREVIEW, drawn
from aos.model.task import Task
from tests.unit.gateway_approvals.world import DEFINITION, OUTBOUND, call, caller, effective


def with_task(**update: str) -> HeldCall:
    by = caller()
    metadata = by.task.metadata.model_copy(update=update)
    task: Task = by.task.model_copy(update={"metadata": metadata})
    return call(by=replace(by, task=task))


def test_the_identical_call_has_the_same_name_however_its_arguments_are_written() -> None:
    assert call({"id": "7", "stage": "won"}).name == call({"stage": "won", "id": "7"}).name
    assert call().name.startswith("apr-")
    assert len(call().name) == len("apr-") + 16


@pytest.mark.parametrize(
    "other",
    [
        with_task(uid="another"),
        call(by=replace(caller(), namespace="other")),
        call(by=replace(caller(), revision="enricher-2")),
        call(by=caller(effective({"loops": {"maxDepth": 2}}))),
        call({"id": "7", "stage": "lost"}),
        call({"id": "7"}),
        call(action="get_contact"),
        call(definition=DEFINITION.replace("d", "e")),
        replace(call(), after=("c1",)),
        replace(call(), asked=replace(call().asked, name="erp")),
    ],
)
def test_whatever_people_were_told_of_is_in_the_name(other: HeldCall) -> None:
    assert other.name != call().name


def test_who_is_asked_and_the_tasks_own_name_are_not() -> None:
    assert call(quorums=(replace(OUTBOUND, required=2),)).name == call().name
    assert with_task(name="t9").name == call().name


def test_a_released_call_names_its_approval_to_the_store() -> None:
    held = call()
    released = Released(held.name, "uid-1", "2026-01-02T03:04:05.000000Z", datetime.now(UTC))
    asked = released.call(held.asked)
    assert (asked.approvals, asked.approval_uid) == ((held.name,), "uid-1")
    assert (held.writes, call(action="get_contact").writes) == (True, False)


async def test_without_hooks_every_sample_holds_and_nothing_is_shown() -> None:
    sampled = replace(OUTBOUND, sample_percent=1)
    assert drawn((OUTBOUND, sampled), "sha256:0", EVERY_CALL) == (OUTBOUND, sampled)
    assert await NO_PREVIEW.preview(call()) is None
