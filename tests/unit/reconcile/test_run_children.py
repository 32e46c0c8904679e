"""The Tasks and runs of steps as manifests, and a run's status as it is applied."""

from aos.model.conditions import Reason
from aos.model.task import AgentReference, StepOfRun, Task, TaskSpec
from aos.model.workflow_run import (
    RunParent,
    WorkflowReference,
    WorkflowRun,
    WorkflowRunSpec,
    WorkflowRunStatus,
)
from aos.reconcile.run_children import is_child_of, status_json, step_manifest
from aos.workflow.actions import CreateRun, CreateTask
from tests.unit.reconcile.flows import run
from tests.unit.reconcile.make import condition

TASK = CreateTask(
    "r1-enrich-1",
    "enrich",
    TaskSpec(
        agent_ref=AgentReference(name="enricher"),
        input={"lead": None},
        revision="enricher-1",
        run=StepOfRun(name="r1", uid="r1-uid", root_uid="r1-uid", workflow="outreach", step="enrich"),
    ),
)
BELOW = CreateRun(
    "r1-inner-1",
    "inner",
    WorkflowRunSpec(
        workflow_ref=WorkflowReference(name="inner"),
        parent=RunParent(run="r1", run_uid="r1-uid", root_uid="r1-uid", step="inner", depth=1),
    ),
)


def test_a_task_of_a_step_belongs_to_its_run_and_is_found_by_it() -> None:
    made = step_manifest(run(), TASK)
    task = Task.parse(made)
    assert task.spec == TASK.spec
    assert task.metadata.labels["aos.dev/run"] == "r1"
    assert task.metadata.labels["aos.dev/step"] == "enrich"
    assert task.metadata.labels["aos.dev/workflow"] == "outreach"
    assert is_child_of(run(), made)
    assert not is_child_of(run(meta={"uid": "another"}), made)


def test_a_run_below_belongs_to_the_run_above() -> None:
    made = step_manifest(run(), BELOW)
    assert WorkflowRun.parse(made).spec == BELOW.spec
    assert is_child_of(run(), made)


def test_what_nobody_owns_or_merely_names_the_run_is_not_its_child() -> None:
    assert not is_child_of(run(), {"metadata": {}})
    assert not is_child_of(run(), {})
    assert not is_child_of(run(), {"metadata": {"ownerReferences": [{"uid": "r1-uid"}]}})


def test_attack_20_what_somebody_else_made_under_the_name_and_gave_the_run_as_owner_is_not_its_child() -> (
    None
):
    for action in (TASK, BELOW):
        made = step_manifest(run(), action)
        spec = made["spec"]
        assert isinstance(spec, dict)
        forged = {name: value for name, value in spec.items() if name not in ("run", "parent")}
        assert not is_child_of(run(), {**made, "spec": forged})
        assert not is_child_of(run(), {**made, "spec": {**forged, "run": {"uid": "another"}}})


def test_a_status_is_read_back_as_it_was_applied() -> None:
    status = WorkflowRunStatus.model_validate(
        {
            "observedGeneration": 1,
            "conditions": [condition("Succeeded", "False", Reason.STEP_FAILED)],
            "revision": "w-1",
            "steps": [{"name": "enrich", "state": "Failed", "attempt": 1}],
            "progress": "1/1",
            "output": {"empty": "", "none": []},
        }
    )
    said = status_json(status)
    assert WorkflowRunStatus.model_validate(said) == status
    assert "waitingFor" not in said
    assert said["output"] == {"empty": "", "none": []}
