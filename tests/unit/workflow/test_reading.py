"""Whose outputs a look at a run reads, and what becomes of those that are too much."""

from dataclasses import replace

from aos.model.workflow_run import StepState, StepStatus, WorkflowRunStatus
from aos.workflow.reading import still_read
from tests.unit.workflow.flows import spec_of
from tests.unit.workflow.world import World, run_of

SPEC = spec_of(
    {"name": "a"},
    {"name": "b", "input": {"x": "${steps.a.output}"}, "compensate": "undo"},
    {"name": "c", "input": {"x": "${steps.b.output}", "y": "${steps.?a.output}"}, "dependsOn": ["d"]},
    {"name": "d"},
    {"name": "undo", "input": {"x": "${steps.?d.output}"}},
)


def read(*ended: str, spec: object = SPEC, condition: str = "Unknown") -> str:
    done = [StepStatus(name=name, state=StepState.SUCCEEDED) for name in ended]
    status = WorkflowRunStatus.model_validate(
        {
            "steps": done,
            "conditions": [
                {
                    "type": "Succeeded",
                    "status": condition,
                    "reason": "X",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }
            ],
        }
    )
    assert isinstance(spec, type(SPEC))
    return "".join(sorted(still_read(spec, run_of(spec).model_copy(update={"status": status})) - {"undo"}))


def test_a_step_is_read_until_it_and_all_that_read_it_have_ended() -> None:
    assert read() == "abcd"
    # Whoever undoes may yet read.
    assert read("a", "b", "c", "d") == "d"
    assert read("a", "b", "d") == "abcd"
    assert read("a", "b", "c", "d", "undo") == ""


def test_what_the_run_gives_is_read_until_it_has_ended() -> None:
    giving = SPEC.model_copy(update={"output": {"a": "${steps.a.output}", "b": "${steps.?b.output}"}})
    assert read("a", "b", "c", "d", "undo", spec=giving) == "ab"
    assert read("a", "b", "c", "d", "undo", spec=giving, condition="True") == ""


def test_a_step_that_reads_too_much_fails_and_says_what_to_do() -> None:
    world = World(spec_of({"name": "a"}, {"name": "b", "input": {"x": "${steps.a.output}"}}))
    world.settle()
    world.finish("a", {"large": "x"})
    (done,) = world.attempts.values()
    world.attempts[done.name] = replace(done, output=None, is_unread=True)
    world.settle()
    assert (world.step("a").state, world.step("a").output_digest) == (StepState.SUCCEEDED, None)
    assert (world.step("b").state, world.step("b").reason) == (StepState.FAILED, "ExpressionFailed")
    assert "let the agents give less" in world.step("b").message
