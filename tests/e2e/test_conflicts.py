"""Two agents at one contact of the CRM: one writes, and the other is told by whom it is held."""

import copy
from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation, JsonObject, at, wait_for

CONTACT = "emea-0007"
WRITE = "add_note"
RIVAL = "lead-qualifier"
HELD: JsonObject = {"sleepSeconds": 500, "output": {"summary": "done", "score": 0.5}}


def note(text: str) -> JsonObject:
    """A Write of low risk: it waits for nobody."""
    return {"calls": [{"tool": f"crm.{WRITE}", "args": {"id": CONTACT, "text": text}}]}


@pytest.fixture
def rival(aos: Installation) -> Iterator[str]:
    """A second agent with the rights of the first."""
    first = aos.get("agent", "lead-enricher")
    manifest: JsonObject = {
        "apiVersion": first["apiVersion"],
        "kind": "Agent",
        "metadata": {"name": RIVAL, "namespace": aos.namespace, "labels": at(first, "metadata.labels")},
        "spec": copy.deepcopy(first["spec"]),
    }
    aos.apply(manifest)
    aos.becomes("agent", RIVAL)
    yield RIVAL
    for task in ("holder", "loser", "heir"):
        aos.cancel(task)
    aos.delete("agent", RIVAL)


def outcome(aos: Installation, task: str) -> JsonObject | None:
    """What became of the Task's note; None before the gateway has said so."""
    found = [line for line in aos.decisions(task) if line.get("action") == WRITE]
    return found[-1] if found else None


def test_of_two_agents_that_write_one_contact_one_wins_and_the_other_is_told_by_whom(
    aos: Installation, rival: str
) -> None:
    before = aos.made(WRITE, CONTACT)
    aos.start("holder", note("Send the brochure"), HELD, deadline="10m")
    won = wait_for(lambda: outcome(aos, "holder"), "the first agent's note")
    assert (won["effect"], won["reason"]) == ("Allow", "Allowed")
    wait_for(lambda: aos.made(WRITE, CONTACT) == before + 1 or None, "the CRM to see it")

    aos.start("loser", note("Call them at once"), agent=rival)
    assert aos.ended("loser")["reason"] == "Completed"
    lost = outcome(aos, "loser")
    assert lost is not None
    assert lost["reason"] == "RecordBusy"
    (told,) = notes(aos, "loser")
    assert "lead-enricher" in told
    assert "holder" in told
    assert aos.made(WRITE, CONTACT) == before + 1

    # The record is free once the Task that held it has ended, however it did.
    aos.cancel("holder")

    def heir_wrote() -> bool | None:
        aos.cancel("heir")
        aos.start("heir", note("Call them at once"), agent=rival)
        aos.ended("heir")
        found = outcome(aos, "heir")
        return True if found is not None and found["reason"] == "Allowed" else None

    wait_for(heir_wrote, "the record to be free", pause=1)
    assert aos.made(WRITE, CONTACT) == before + 2


def notes(aos: Installation, task: str) -> list[str]:
    """Return what the agent reports of calls that did not go through."""
    found = at(aos.get("task", task), "status.result.output.notes")
    assert isinstance(found, list)
    return [str(note) for note in found]
