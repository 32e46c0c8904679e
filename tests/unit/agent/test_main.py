import asyncio
import json
import os
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from aos.agent.main import ExitCode, main, run_agent
from aos.agent.settings import AgentSettings
from aos.kube.objects import child, children, text
from aos.model.base import JsonObject
from examples.common.service import fingerprint
from tests.unit.agent.conftest import World, task
from tests.unit.agent.serving import make_identity
from tests.unit.agent.test_settings import ENVIRONMENT

# The pause outlasts the wait: an attempt that is cancelled within a TLS handshake would leave its socket open.
ONE_ATTEMPT = {
    "connect_retries": 0,
    "fetch_timeout_seconds": 1,
    "retry_pause_seconds": 60,
    "max_retry_pause_seconds": 60,
}
GOOD: JsonObject = {"summary": "fine", "score": 0.5}


def scripted(*turns: JsonObject, **changes: object) -> JsonObject:
    return task(
        input={"lead": {"company": "Halden Robotics", "territory": "emea"}, "script": [*turns]}, **changes
    )


def calling(tool: str, **args: JsonValue) -> JsonObject:
    return {"calls": [{"tool": tool, "args": args}]}


def last_words(settings: AgentSettings) -> str:
    return settings.termination_log.read_text(encoding="utf-8")


def failure_of(world: World) -> tuple[str, str]:
    [result] = world.gateway.results
    failure = result["failure"]
    assert isinstance(failure, dict)
    return str(failure["reason"]), str(failure["message"])


async def test_a_task_runs_from_its_assignment_to_its_posted_output(world: World) -> None:
    assert await run_agent(world.settings) == ExitCode.REPORTED

    assert world.gateway.calls == [
        "crm.search_contacts",
        "crm.get_contact",
        "crm.export_contacts",
        "crm.update_contact",
    ]
    [result] = world.gateway.results
    assert result["output"] == {
        "summary": "Mira Solberg, VP Supply Chain at Halden Robotics (Robotics, 120 people).",
        "score": 0.41,
        "contactId": "emea-0001",
        "notes": ["crm.export_contacts denied: PolicyDenied: no rule allows crm.export_contacts"],
    }
    assert world.database.contact("emea-0001").stage == "qualified"
    assert not world.settings.termination_log.exists()


async def test_a_delegate_is_a_function_whose_answer_the_model_goes_on_with(world: World) -> None:
    world.gateway.task = scripted(
        calling("delegate_to_writer", facts="robots"), {"output": GOOD}, delegates=["writer"]
    )
    assert await run_agent(world.settings) == ExitCode.REPORTED
    (message,) = world.gateway.handoffs
    assert message["parts"] == [{"data": {"facts": "robots"}}]
    first, second = world.gateway.chats
    assert "delegate_to_writer" in [
        text(child(tool, "function"), "name") for tool in children(first, "tools")
    ]
    assert text(children(second, "messages")[-1], "content") == '{"draft":"Dear Halden"}'
    assert world.gateway.results == [{"output": GOOD}]


def updating(**more: JsonValue) -> JsonObject:
    update: JsonObject = {"tool": "crm.update_contact", "args": {"id": "emea-0001", "stage": "qualified"}}
    read: JsonObject = {"tool": "crm.get_contact", "args": {"id": "emea-0002"}}
    return {"calls": [update, read], **more}


def said_of_tools(chat: JsonObject) -> list[str]:
    return [
        text(message, "content") for message in children(chat, "messages") if text(message, "role") == "tool"
    ]


async def test_a_call_that_waits_is_repeated_and_the_model_hears_only_what_came_of_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.gateway.task = scripted(updating(), {"output": GOOD})
    world.gateway.held["crm.update_contact"] = ["ApprovalPending"] * 3
    assert await run_agent(world.settings) == ExitCode.REPORTED
    assert world.gateway.calls.index("crm.get_contact") == 1
    updates = [arguments for name, arguments in world.gateway.arguments if name == "crm.update_contact"]
    assert len(updates) == 4
    assert all(arguments == updates[0] for arguments in updates)
    assert world.database.contact("emea-0001").stage == "qualified"
    first, second = world.gateway.chats
    written, read = said_of_tools(second)
    assert "qualified" in written
    assert "emea-0002" in read
    assert "Approval" not in json.dumps(first) + json.dumps(second)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "credential" not in line]
    told = [line for line in lines if line["event"].startswith("tool ")]
    assert [line["event"] for line in told] == ["tool waits", "tool called", "tool called"]
    assert told[0]["approval"] == "apr-0123456789abcdef"


async def test_a_call_that_people_rejected_is_told_to_the_model_with_the_reason(world: World) -> None:
    world.gateway.task = scripted(updating(), {"output": GOOD})
    world.gateway.held["crm.update_contact"] = ["ApprovalPending", "ApprovalRejected"]
    assert await run_agent(world.settings) == ExitCode.REPORTED
    assert said_of_tools(world.gateway.chats[1])[0] == "denied: people say ApprovalRejected"
    assert world.database.contact("emea-0001").stage != "qualified"


async def test_people_are_asked_anew_where_the_first_answer_is_that_their_question_has_changed(
    world: World,
) -> None:
    world.gateway.task = scripted(updating(), {"output": GOOD})
    world.gateway.held["crm.update_contact"] = ["ApprovalStale", "ApprovalPending"]
    assert await run_agent(world.settings) == ExitCode.REPORTED
    assert "qualified" in said_of_tools(world.gateway.chats[1])[0]
    assert world.database.contact("emea-0001").stage == "qualified"


async def test_a_deadline_that_comes_while_people_have_not_decided_is_said(world: World) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    world.gateway.task = scripted(updating(), {"output": GOOD}, deadline=soon.isoformat())
    world.gateway.held["crm.update_contact"] = ["ApprovalPending"] * 10_000
    assert await run_agent(world.settings) == ExitCode.REPORTED
    assert failure_of(world) == (
        "DeadlineExceeded",
        "the deadline came before an answer; people had not decided about crm.update_contact",
    )


async def test_the_time_in_which_people_decide_is_not_the_agents(world: World) -> None:
    first = datetime.now(UTC) + timedelta(seconds=6)
    world.gateway.task = scripted(updating(), {"output": GOOD}, deadline=first.isoformat())
    held = world.gateway.held["crm.update_contact"] = ["ApprovalPending"] * 10_000
    rarely = replace(world.settings.bounds, retry_pause_seconds=0.2, max_retry_pause_seconds=0.2)
    running = asyncio.create_task(run_agent(replace(world.settings, bounds=rarely)))
    while not world.gateway.calls:  # noqa: ASYNC110 - the gateway of these tests sets no event
        await asyncio.sleep(0.01)
    later = first + timedelta(minutes=1)
    world.gateway.task = {**world.gateway.task, "deadline": later.isoformat()}
    await asyncio.sleep((first - datetime.now(UTC)).total_seconds() + 0.2)
    held.clear()
    assert await running == ExitCode.REPORTED
    assert world.database.contact("emea-0001").stage == "qualified"


async def test_the_crm_sees_its_own_credential_and_never_the_agents(world: World) -> None:
    await run_agent(world.settings)
    seen = {access.credential for access in world.database.log.last(100)}
    assert seen == {fingerprint("Bearer crm-secret")}
    assert fingerprint("Bearer agent-token-1") not in seen


async def test_the_log_holds_names_and_reasons_and_no_content(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    await run_agent(world.settings)
    written = capsys.readouterr()
    lines = [json.loads(line) for line in written.out.splitlines() if "credential" not in line]
    assert [line["event"] for line in lines if line["event"].startswith("tool ")] == [
        "tool called",
        "tool called",
        "tool denied",
        "tool called",
    ]
    assert [line["reason"] for line in lines if line["event"] == "tool denied"] == ["PolicyDenied"]
    assert not any(
        secret in json.dumps(line) for line in lines for secret in ("Halden", "emea", "token-1", "Enrich the")
    )
    assert written.err == ""


async def test_the_runtime_waits_until_the_gateway_knows_its_pod(world: World) -> None:
    world.gateway.not_yet = 3
    assert await run_agent(world.settings) == ExitCode.REPORTED
    assert world.gateway.results


async def test_a_token_that_is_replaced_in_the_middle_is_used_from_then_on(world: World) -> None:
    def rotate(name: str) -> None:
        if name == "crm.get_contact":
            world.settings.token_file.write_text("agent-token-2")

    world.gateway.on_call = rotate
    assert await run_agent(world.settings) == ExitCode.REPORTED
    assert "output" in world.gateway.results[0]
    assert set(world.gateway.tokens) == {"agent-token-1", "agent-token-2"}


async def test_an_answer_that_does_not_fit_is_repaired_once_without_tools_and_by_the_schema(
    world: World,
) -> None:
    world.gateway.task = scripted({"output": {"summary": "no score"}}, {"output": GOOD})
    assert await run_agent(world.settings) == ExitCode.REPORTED
    assert world.gateway.results == [{"output": GOOD}]
    first, repair = world.gateway.chats
    assert "response_format" not in first
    assert repair["tool_choice"] == "none"
    assert repair["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "output", "schema": world.gateway.task["outputSchema"]},
    }
    assert '"score" is a required property' in str(repair["messages"])


async def test_an_answer_that_never_fits_is_a_failure(world: World) -> None:
    world.gateway.task = scripted({"text": "no JSON"}, {"output": {"summary": 1, "score": 0.5}})
    assert await run_agent(world.settings) == ExitCode.REPORTED
    reason, message = failure_of(world)
    assert reason == "OutputInvalid"
    assert "summary" in message


async def test_a_model_that_goes_round_in_circles_is_stopped(world: World) -> None:
    bounds = replace(world.settings.bounds, max_steps=3)
    world.gateway.task = scripted({**calling("crm.search_contacts", territory="emea"), "repeat": True})
    assert await run_agent(replace(world.settings, bounds=bounds)) == ExitCode.REPORTED
    assert failure_of(world)[0] == "StepLimitReached"
    assert world.gateway.calls == ["crm.search_contacts"] * 3


async def test_the_failure_is_posted_before_the_deadline(world: World) -> None:
    # A fifth of the time is kept for the report: enough of it that a busy machine does not need more.
    deadline = datetime.now(UTC) + timedelta(seconds=8)
    world.gateway.task = scripted({"sleepSeconds": 9, "text": "late"}, deadline=deadline.isoformat())
    assert await run_agent(world.settings) == ExitCode.REPORTED
    assert datetime.now(UTC) < deadline
    assert failure_of(world)[0] == "DeadlineExceeded"


async def test_a_deadline_that_has_passed_is_a_failure_at_once(world: World) -> None:
    world.gateway.task = task(deadline="2020-01-01T00:00:00Z")
    assert await run_agent(world.settings) == ExitCode.REPORTED
    assert failure_of(world)[0] == "DeadlineExceeded"
    assert world.gateway.chats == []


async def test_a_model_that_fails_is_named(world: World) -> None:
    world.gateway.task = scripted({"status": 500, "repeat": True})
    assert await run_agent(world.settings) == ExitCode.REPORTED
    assert failure_of(world) == (
        "ModelUnavailable",
        "the model gave no answer: HTTP 500: the script says so",
    )


async def test_a_failing_tool_is_shown_to_the_model_which_goes_on(world: World) -> None:
    world.gateway.task = scripted(
        calling("crm.get_contact", id="emea-9999"),
        calling("crm.search_contacts", territory="nowhere"),
        calling("erp.pay", amount=1),
        {"output": GOOD},
    )
    assert await run_agent(world.settings) == ExitCode.REPORTED
    assert world.gateway.results == [{"output": GOOD}]
    said = [message["content"] for message in messages(world.gateway.chats[-1]) if message["role"] == "tool"]
    assert str(said[0]).endswith("there is no contact emea-9999")
    assert "territory" in str(said[1])
    assert str(said[2]).startswith("denied:")


def messages(chat: JsonObject) -> list[JsonObject]:
    found = chat["messages"]
    assert isinstance(found, list)
    return [message for message in found if isinstance(message, dict)]


async def test_a_task_that_has_ended_needs_no_result(world: World) -> None:
    world.gateway.ended = True
    assert await run_agent(world.settings) == ExitCode.REPORTED
    assert world.gateway.results == []


async def test_a_failure_of_a_task_that_has_ended_is_dropped(world: World) -> None:
    world.gateway.ended = True
    world.gateway.task = task(model="")
    assert await run_agent(world.settings) == ExitCode.REPORTED


async def test_a_pod_that_the_gateway_refuses_says_so_in_its_last_words(world: World) -> None:
    other = world.settings.token_file.with_name("other-token")
    other.write_text("not-the-pods")
    assert await run_agent(replace(world.settings, token_file=other)) == ExitCode.NOT_REPORTED
    assert last_words(world.settings) == (
        "the gateway does not hand out a task: HTTP 401 TokenInvalid: the token is not the pod's"
    )


async def test_a_token_that_is_revoked_in_the_middle_ends_the_run(world: World) -> None:
    def revoke(_: str) -> None:
        world.gateway.token_file = world.settings.token_file.with_name("revoked")
        world.gateway.token_file.write_text("nobody has this one")

    world.gateway.on_call = revoke
    assert await run_agent(world.settings) == ExitCode.NOT_REPORTED
    assert "does not take the result: HTTP 401" in last_words(world.settings)


async def test_a_gateway_that_never_hands_out_the_task_is_given_up(world: World) -> None:
    world.gateway.not_yet = 1000
    bounds = replace(world.settings.bounds, fetch_timeout_seconds=0.3)
    assert await run_agent(replace(world.settings, bounds=bounds)) == ExitCode.NOT_REPORTED
    assert "gave no answer in 0.3 seconds: HTTP 503 PodNotRecorded" in last_words(world.settings)


async def test_a_gateway_that_is_not_there_is_given_up(world: World) -> None:
    bounds = replace(world.settings.bounds, **ONE_ATTEMPT)
    settings = replace(world.settings, gateway_url="https://127.0.0.1:9", bounds=bounds)
    assert await run_agent(settings) == ExitCode.NOT_REPORTED
    assert "ConnectError" in last_words(settings)


async def test_a_gateway_of_another_authority_is_not_spoken_to(
    world: World, tmp_path_factory: object
) -> None:
    stranger = world.settings.ca_file.with_name("stranger")
    stranger.mkdir()
    bounds = replace(world.settings.bounds, **ONE_ATTEMPT)
    settings = replace(world.settings, ca_file=make_identity(stranger).certificate, bounds=bounds)
    assert await run_agent(settings) == ExitCode.NOT_REPORTED
    assert world.gateway.tokens == []


@pytest.mark.parametrize("missing", ["token_file", "ca_file"])
async def test_a_missing_file_is_named(world: World, missing: str) -> None:
    path = world.settings.token_file.with_name("nowhere")
    settings = replace(world.settings, **{missing: path})  # type: ignore[arg-type]  # both are paths
    assert await run_agent(settings) == ExitCode.NOT_REPORTED
    assert last_words(settings) == f"can't read {path}: No such file or directory"


async def test_sigterm_ends_the_run_at_once_and_posts_nothing(world: World) -> None:
    world.gateway.task = scripted({"sleepSeconds": 3, "text": "late"})
    running = asyncio.create_task(run_agent(world.settings))
    await asyncio.wait_for(world.gateway.asked.wait(), timeout=5)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, timeout=2) == ExitCode.TERMINATED
    assert world.gateway.results == []
    assert last_words(world.settings) == "the pod was ended before its task was done"


async def test_a_defect_of_the_runtime_is_a_reason_on_the_task(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a text that may quote anything")

    monkeypatch.setattr("aos.agent.worker.begin", broken)
    assert await run_agent(world.settings) == ExitCode.REPORTED
    assert failure_of(world) == ("InternalError", "unexpected ZeroDivisionError")


def test_an_incomplete_environment_ends_the_process_with_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    assert main() == ExitCode.MISCONFIGURED
    assert "AOS_GATEWAY_URL" in capsys.readouterr().out
