"""``aos run`` against a real API server; the test plays the operator and the gateway."""

import signal
from pathlib import Path

from tests.cluster.cli.conftest import AGENT, NOW, Namespace, Object, condition, until

SUCCEEDED = condition("Succeeded", "True", "Completed")


def result(output: Object) -> Object:
    return {"outcome": "Succeeded", "output": output, "time": NOW}


def spec_of(namespace: Namespace, task: str) -> str:
    return namespace.kubectl("get", "task", task, "-o", "jsonpath={.spec}")


def test_a_task_that_is_not_watched_is_created_with_input_deadline_and_requester(sales: Namespace) -> None:
    done = sales.aos("run", "enricher", "-i", "lead=acme", "-i", "limit=3", "--deadline", "5m", "--no-watch")
    assert done.code == 0, done.err
    task = sales.only_task()
    assert done.out == f"task.aos.dev/{task} created\n"
    assert task.startswith("enricher-")
    spec = spec_of(sales, task)
    assert '"input":{"lead":"acme","limit":3}' in spec
    assert '"deadline":"5m"' in spec
    assert '"requestedBy":"admin"' in spec


def test_the_name_alone_is_printed_for_scripts(sales: Namespace) -> None:
    done = sales.aos("run", "enricher", "--no-watch", "-o", "name")
    assert done.out == f"task.aos.dev/{sales.only_task()}\n"


def test_the_input_is_read_from_standard_input(sales: Namespace) -> None:
    done = sales.aos(
        "run", "enricher", "--no-watch", "--input-json", "-", "-o", "json", stdin='{"lead": {"id": 1}}'
    )
    spec = done.data["spec"]
    assert isinstance(spec, dict)
    assert spec["input"] == {"lead": {"id": 1}}


def test_a_watched_task_that_succeeds_ends_with_its_output_alone_on_standard_output(sales: Namespace) -> None:
    with sales.start_aos("run", "enricher") as process:
        task = sales.only_task()
        started = condition("Started", "False", "Unschedulable", "0/1 nodes are available")
        sales.patch_status("task", task, {"conditions": [started]})
        sales.patch_status(
            "task",
            task,
            {
                "conditions": [condition("Started", "True", "Running"), SUCCEEDED],
                "pod": {"name": "enricher-pod", "uid": "u1"},
                "result": result({"score": 0.5}),
                "usage": {"calls": 3, "denied": 1, "promptTokens": 10, "completionTokens": 5},
            },
        )
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == '{\n  "score": 0.5\n}\n'
    assert "pod enricher-pod" in err
    assert "succeeded: Completed (3 calls, 1 denied, 15 tokens)" in err


def test_events_about_the_task_are_shown_while_it_is_watched(sales: Namespace) -> None:
    with sales.start_aos("run", "enricher") as process:
        task = sales.only_task()
        uid = sales.kubectl("get", "task", task, "-o", "jsonpath={.metadata.uid}")
        event = f"""
apiVersion: events.k8s.io/v1
kind: Event
metadata: {{name: a-note, namespace: {sales.name}}}
eventTime: "2026-01-02T03:04:05.000000Z"
reportingController: aos.dev/operator
reportingInstance: test
regarding: {{apiVersion: aos.dev/v1alpha1, kind: Task, name: {task}, namespace: {sales.name}, uid: {uid}}}
type: Normal
reason: ChildRestored
action: Create
note: a pod was made
"""
        sales.kubectl("create", "-f", "-", stdin=event)
        shown = [process.stderr.readline() for _ in range(2)] if process.stderr else []
        sales.patch_status("task", task, {"conditions": [SUCCEEDED]})
        process.communicate(timeout=60)
    assert any("ChildRestored: a pod was made" in line for line in shown)


def test_a_task_that_fails_ends_with_one_and_says_why(sales: Namespace) -> None:
    with sales.start_aos("run", "enricher", "-o", "name") as process:
        task = sales.only_task()
        failed = condition("Succeeded", "False", "DeadlineExceeded", "the deadline of 10m passed")
        sales.patch_status("task", task, {"conditions": [failed]})
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == f"task.aos.dev/{task}\n"
    assert "failed: DeadlineExceeded: the deadline of 10m passed" in err


def test_a_task_deleted_by_someone_else_ends_with_one(sales: Namespace) -> None:
    with sales.start_aos("run", "enricher") as process:
        sales.kubectl("delete", "task", sales.only_task())
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "was deleted, which cancels it" in err


def test_waiting_ends_with_124_and_leaves_the_task_alone(sales: Namespace) -> None:
    done = sales.aos("run", "enricher", "--timeout", "1s")
    assert done.code == 124
    assert "did not end within 1 s and goes on" in done.err
    assert sales.tasks()


def test_an_interrupted_watch_says_that_the_task_goes_on(sales: Namespace) -> None:
    with sales.start_aos("run", "enricher") as process:
        task = sales.only_task()
        assert process.stderr
        assert "created" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert f"kubectl delete task {task}" in err
    assert sales.tasks()


def test_an_agent_that_is_not_there_is_refused_before_a_task_is_made(sales: Namespace) -> None:
    done = sales.aos("run", "enrichre")
    assert done.code == 3
    assert f"there is no Agent enrichre in namespace {sales.name}" in done.err
    assert not sales.tasks()


def test_a_task_that_the_api_server_refuses_ends_with_three_and_its_words(sales: Namespace) -> None:
    done = sales.aos("run", "enricher", "--deadline", "48h")
    assert done.code == 3
    assert "deadline must be between 1s and 24h" in done.err


def test_who_may_not_create_tasks_is_told_which_right_is_missing(sales: Namespace) -> None:
    done = sales.aos("run", "enricher", kubeconfig=sales.cluster.user("eve"))
    assert done.code == 3
    assert "kubectl auth can-i create tasks" in done.err


def test_who_may_create_and_read_tasks_alone_can_run_and_follow_them(sales: Namespace) -> None:
    sales.kubectl("create", "role", "runner", "--verb=create,get,list,watch", "--resource=tasks.aos.dev")
    sales.kubectl("create", "rolebinding", "ana", "--role=runner", "--user=ana")
    done = sales.aos("run", "enricher", "--timeout", "2s", kubeconfig=sales.cluster.user("ana"))
    assert done.code == 124, done.err
    assert "events are not shown" in done.err
    assert '"requestedBy":"ana"' in spec_of(sales, sales.only_task())


def test_a_long_agent_name_still_gives_a_task_name_that_fits(sales: Namespace) -> None:
    sales.create("Agent", "a" * 52, AGENT)
    done = sales.aos("run", "a" * 52, "--no-watch")
    assert done.code == 0, done.err
    assert len(sales.only_task()) == 52


def test_a_cluster_that_does_not_answer_ends_with_four(sales: Namespace, tmp_path: Path) -> None:
    text = sales.cluster.kubeconfig.read_text()
    server = next(line for line in text.splitlines() if "server:" in line)
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(text.replace(server, server.rpartition(":")[0] + ":1"))
    done = sales.aos("run", "enricher", kubeconfig=elsewhere)
    assert done.code == 4
    assert "check that the cluster is up" in done.err


def test_a_kubeconfig_that_is_not_there_ends_with_four(sales: Namespace, tmp_path: Path) -> None:
    done = sales.aos("run", "enricher", kubeconfig=tmp_path / "none")
    assert done.code == 4
    assert "no such file" in done.err


def test_a_task_watched_through_many_changes_is_told_in_order(sales: Namespace) -> None:
    with sales.start_aos("run", "enricher") as process:
        task = sales.only_task()
        lines: list[str] = []

        def seen(text: str) -> bool:
            assert process.stderr
            lines.append(process.stderr.readline())
            return text in lines[-1]

        for reason in ("QuotaExceeded", "Starting", "Running"):
            sales.patch_status("task", task, {"conditions": [condition("Started", "True", reason)]})
            until(lambda reason=reason: seen(reason))  # type: ignore[misc]
        sales.patch_status("task", task, {"conditions": [SUCCEEDED]})
        process.communicate(timeout=60)
    assert process.returncode == 0
