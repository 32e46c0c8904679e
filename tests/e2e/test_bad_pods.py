"""Pods that the node itself can't keep or start: their Tasks end, and say why."""

from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation, JsonObject, condition, wait_for

TOO_LITTLE = "24Mi"
"""Enough for a container to start, and too little for Python."""


def agent(name: str, namespace: str, runtime: JsonObject) -> JsonObject:
    labels: JsonObject = {"role": "research", "territory": "emea"}
    return {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"owner": {"team": "tests"}, "instructions": "Do nothing.", "runtime": runtime},
    }


@pytest.fixture(scope="module")
def started(aos: Installation) -> Iterator[Installation]:
    """Both Tasks at once, since each waits for the kubelet."""
    for name in ("greedy", "absent"):
        aos.cancel(name)
    limits: JsonObject = {"memory": TOO_LITTLE}
    aos.apply(
        agent("greedy", aos.namespace, {"resources": {"requests": limits, "limits": limits}}),
        agent("absent", aos.namespace, {"image": "aos.local/nobody-made-this:1"}),
    )
    aos.start("greedy", agent="greedy")
    aos.start("absent", agent="absent", deadline="20s")
    yield aos
    aos.delete("agent", "greedy", "absent")


def test_an_agent_that_the_kernel_kills_for_its_memory_ends_its_task_as_out_of_memory(
    started: Installation,
) -> None:
    end = started.ended("greedy")
    assert (end["status"], end["reason"]) == ("False", "OutOfMemory")


def test_an_image_that_nobody_has_is_told_at_once_and_ends_the_task_at_its_deadline(
    started: Installation,
) -> None:
    def told() -> JsonObject | None:
        found = condition(started.get("task", "absent"), "Started")
        return found if found is not None and found["reason"] == "ImagePullFailed" else None

    found = wait_for(told, "the image to be missed")
    assert found["status"] == "False"
    assert "aos.local/nobody-made-this:1" in str(found["message"])
    end = started.ended("absent")
    assert (end["status"], end["reason"]) == ("False", "ImagePullFailed")
    assert "until the deadline (20s)" in str(end["message"])
