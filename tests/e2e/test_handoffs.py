"""Agents that hand work to each other on a real node: it goes round as often as it may, and ends with what it came from."""

import json
from collections.abc import Iterator

import pytest
from pydantic import JsonValue

from tests.e2e.inside import post
from tests.e2e.installation import Installation, JsonObject, at, wait_for

DONE: JsonObject = {"output": {"done": True}}
SLEEPING: JsonObject = {"sleepSeconds": 500, **DONE}
NAMES = ("ping", "pong")


def agent(namespace: str, name: str, *delegates: str) -> JsonObject:
    return {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"role": "research", "territory": "emea"},
        },
        "spec": {
            "owner": {"team": "revops"},
            "instructions": "Hand over what you are given.",
            "model": {"name": "default"},
            "delegates": [*delegates],
        },
    }


@pytest.fixture(scope="module")
def players(aos: Installation) -> Iterator[Installation]:
    """Two agents that may hand work to each other, ready."""
    aos.apply(agent(aos.namespace, "ping", "pong"), agent(aos.namespace, "pong", "ping"))
    aos.becomes("agent", *NAMES)
    yield aos
    aos.delete("agent", *NAMES)


def rally(turns: int, turn: int = 1) -> list[JsonValue]:
    """What the model of an agent plays that hands on to the other one, which does the same."""
    if not turns:
        return [DONE]
    script: JsonObject = {"script": rally(turns - 1, turn + 1)}
    return [{"calls": [{"tool": f"delegate_to_{NAMES[turn % 2]}", "args": script}]}, DONE]


def start(aos: Installation, task: str, script: list[JsonValue]) -> None:
    aos.cancel(task)
    aos.apply(
        {
            "apiVersion": "aos.dev/v1alpha1",
            "kind": "Task",
            "metadata": {"name": task, "namespace": aos.namespace},
            "spec": {"agentRef": {"name": "ping"}, "input": {"script": script}, "deadline": "10m"},
        }
    )


def chain_of(aos: Installation, root: str) -> list[JsonObject]:
    """The Tasks that were handed over from ``root``, in order."""
    found = []
    for item in aos.items("task"):
        lineage = at(item, "spec.lineage")
        if isinstance(lineage, list) and lineage and at(lineage[0], "task") == root:
            found.append(item)
    return sorted(found, key=lambda item: len(str(at(item, "spec.lineage"))))


def handed_over(aos: Installation, pod: str, receiver: str = "pong") -> JsonObject:
    """Hand work over from inside a pod, and do not wait for it."""
    message: JsonObject = {
        "messageId": "m1",
        "role": "ROLE_USER",
        "parts": [{"data": {"script": [SLEEPING]}}],
    }
    params: JsonObject = {"message": message, "configuration": {"returnImmediately": True}}
    body: JsonObject = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params}
    return post(aos, pod, f"/a2a/{aos.namespace}/{receiver}", body)


def test_attack_22_a_ping_pong_of_two_agents_ends_at_the_bound(players: Installation) -> None:
    start(players, "rally", rally(6))
    assert players.ended("rally", 300)["reason"] == "Completed"
    chain = chain_of(players, "rally")
    assert [at(item, "spec.agentRef.name") for item in chain] == ["pong", "ping", "pong"]
    for item in chain:
        assert players.ended(str(at(item, "metadata.name")))["reason"] == "Completed"
    last = str(at(chain[-1], "metadata.name"))
    refused = [line for line in players.decisions(last) if line["effect"] == "Deny"]
    assert [(line["delegate"], line["reason"]) for line in refused] == [("ping", "TooManyVisits")]


def test_a_task_that_is_cancelled_takes_what_it_handed_over_with_it(players: Installation) -> None:
    start(players, "cancelled", [SLEEPING])
    answer = handed_over(players, players.running_pod("cancelled"))
    child = str(at(answer, "result.task.id"))
    players.running_pod(child)
    players.cancel("cancelled")
    wait_for(lambda: players.find("task", child) is None or None, "the handed-over Task to go", 180)
    wait_for(lambda: not players.items("pod", f"aos.dev/task={child}") or None, "its pod to go with it")


def test_a_task_that_ends_ends_what_it_handed_over(players: Installation) -> None:
    start(players, "ending", [SLEEPING])
    pod = players.running_pod("ending")
    child = str(at(handed_over(players, pod), "result.task.id"))
    players.running_pod(child)
    assert post(players, pod, "/v1/task/result", {"output": {"done": True}}) == {}
    assert players.ended("ending")["reason"] == "Completed"
    ended = players.ended(child)
    assert ended["reason"] == "ParentEnded", ended
    players.cancel("ending")


def test_attack_19_nobody_but_a_delegate_is_handed_work(players: Installation) -> None:
    start(players, "stranger", [SLEEPING])
    pod = players.running_pod("stranger")
    answer = handed_over(players, pod, "lead-enricher")
    assert "DelegateNotAllowed" in json.dumps(answer)
    assert chain_of(players, "stranger") == []
    players.cancel("stranger")


def test_attack_20_nobody_writes_a_lineage(players: Installation) -> None:
    start(players, "forged-from", [SLEEPING])
    parent = players.get("task", "forged-from")
    uid = at(parent, "metadata.uid")
    manifest: JsonObject = {
        "apiVersion": "aos.dev/v1alpha1",
        "kind": "Task",
        "metadata": {"name": "forged", "namespace": players.namespace},
        "spec": {
            "agentRef": {"name": "pong"},
            "lineage": [{"agent": "ping", "task": "forged-from", "taskUID": uid}],
        },
    }
    answer = players.node.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    assert answer.returncode != 0
    assert "written by the AOS gateway" in answer.stderr
    players.cancel("forged-from")
