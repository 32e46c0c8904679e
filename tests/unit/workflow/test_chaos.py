from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from aos.model.workflow import WorkflowSpec
from aos.model.workflow_run import StepState
from tests.unit.workflow.chaos import Chaos, expected_skips, may_fail
from tests.unit.workflow.flows import spec_of

FLAGS = 3


@st.composite
def workflows(draw: st.DrawFn) -> WorkflowSpec:
    """Give any Workflow: steps of all kinds, that wait for each other in any way that has no cycle."""
    steps: list[Mapping[str, object]] = []
    count = draw(st.integers(1, 7))
    for place in range(count):
        before = [f"s{other}" for other in range(place)]
        steps.extend(draw(_step(f"s{place}", before)))
    return spec_of(*steps, timeout="1h")


@st.composite
def _step(draw: st.DrawFn, name: str, before: list[str]) -> list[Mapping[str, object]]:
    subsets = st.lists(st.sampled_from(before), unique=True, max_size=2) if before else st.just([])
    uses, optional, depends = draw(subsets), draw(subsets), draw(subsets)
    reads = {f"of_{other}": f"${{steps.{other}.output}}" for other in uses}
    reads |= {f"maybe_{other}": f"${{steps.?{other}.output.orValue(null)}}" for other in optional}
    step: dict[str, object] = {"name": name, "dependsOn": depends}
    if draw(st.integers(0, 3)) == 0:
        step["when"] = f"${{input.flags[{draw(st.integers(0, FLAGS - 1))}]}}"
    if draw(st.booleans()):
        step["onFailure"] = "Continue"
    if draw(st.integers(0, 4)) == 0:
        show = "".join(f"${{steps.{other}.output}}" for other in uses)
        return [{**step, "approval": {"show": show}}]
    step["input"] = reads
    step |= draw(st.sampled_from([{}, {"workflow": "other"}, {"workflow": "other", "timeout": "2m"}]))
    if draw(st.integers(0, 2)) == 0:
        step |= {"forEach": "${input.items}", "maxParallel": draw(st.integers(1, 3))}
        step["input"] = {**reads, "item": "${item}"}
    if draw(st.booleans()):
        step["retry"] = {"attempts": draw(st.integers(1, 3)), "backoff": "10s"}
    if draw(st.booleans()):
        return [step]
    undo: Mapping[str, object] = {"name": f"undo_{name}", "input": {"what": f"${{steps.{name}.output}}"}}
    return [{**step, "compensate": f"undo_{name}"}, undo]


@given(
    spec=workflows(),
    flags=st.lists(st.sampled_from([True, True, True, False]), min_size=FLAGS, max_size=FLAGS),
    items=st.integers(0, 4),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=40, deadline=None)
def test_whatever_goes_wrong_a_run_ends_and_no_attempt_is_made_twice(
    spec: WorkflowSpec, flags: list[bool], items: int, seed: int
) -> None:
    chaos = Chaos(spec, flags, items, seed)

    chaos.rage(60)
    chaos.calm()

    status = chaos.run.status
    states = {step.name: step for step in status.steps}
    assert all(step.state.is_final for step in status.steps)
    assert all(step.reason or step.state is StepState.SUCCEEDED for step in status.steps)
    assert status.waiting_for == ()
    for name, node in chaos.graph.nodes.items():
        if node.compensated_by is not None:
            items_done = states[name].items
            done = (
                states[name].state is StepState.SUCCEEDED if items_done is None else "S" in items_done.states
            )
            is_left = states[node.compensated_by].reason == "NotNeeded"
            assert is_left == (not status.ending or not done)
    if not status.ending:
        assert status.progress == f"{len(chaos.graph.order)}/{len(chaos.graph.order)}"
        for name, skipped in expected_skips(chaos):
            assert (states[name].state is StepState.SKIPPED) == skipped
            assert states[name].state in (StepState.SUCCEEDED, StepState.SKIPPED) or may_fail(
                chaos.steps[name]
            )
