import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from aos.audit.event import Phase
from aos.audit.head import ChainHead
from aos.audit.lines import encode_row
from aos.audit.marks import start_mark
from aos.audit.signing import HeadSigner
from aos.audit.verification import LIMITS, Verification, Verifier, verify
from aos.cli.audit import FORMATS, AuditRequest, read, table
from aos.cli.audit_hold import table as holds_table
from aos.cli.audit_show import parsed, shown
from aos.cli.audit_source import AuditPlace, AuditSource, Damaged, End
from aos.cli.audit_trace import data as story_data
from aos.cli.audit_trace import story, tree
from aos.cli.audit_verify import checked, data, load, report
from aos.cli.exits import CommandError, ExitCode
from aos.cli.formats import ExportFormat
from aos.cli.progress import PlainProgress
from aos.cli.records import table as records_table
from aos.kube.client import ApiClient
from aos.kube.errors import ApiError, Forbidden, NotFound, Target, Unavailable
from aos.model.base import JsonObject
from aos.model.task import Outcome, Task, TaskResult
from tests.unit.audit.make import EVENT, chain_of, event

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
PLACE = AuditPlace("aos-system", "sales")
ROWS = chain_of(
    [event(1, phase=Phase.INTENT, outcome=""), event(1), event(2, effect="Deny", agent="copywriter")]
)
END = b'{"end":{"rows":3,"more":false}}'


class FakeClient:
    """Gives the answers that a test puts in, and keeps what it was asked."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, Mapping[str, str], Mapping[str, str]]] = []
        self.tokens: list[str] = []
        self.refused: Exception | None = None

    async def request(self, method: str, path: str, *, body: JsonObject) -> JsonObject:
        self.tokens.append(path)
        if self.refused:
            raise self.refused
        return {"status": {"token": f"token-{len(self.tokens)}"}}

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self.asked.append((method, path, query, headers))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer

        async def chunks() -> AsyncIterator[bytes]:
            size = max(100, len(answer) // 100)
            for at in range(0, len(answer), size):
                yield answer[at : at + size]

        yield chunks()


def source(*answers: bytes | Exception, place: AuditPlace = PLACE) -> tuple[AuditSource, FakeClient]:
    client = FakeClient(*answers)
    return AuditSource(cast("ApiClient", client), place), client


def lines(*said: bytes) -> bytes:
    return b"\n".join(said) + b"\n"


async def test_rows_come_through_the_proxy_with_a_token_for_this_alone() -> None:
    reader, client = source(lines(*(encode_row(row) for row in ROWS), END))
    rows, end = await read(reader, {"namespace": "sales", "agent": ""}, PlainProgress())
    assert (rows, end) == (ROWS, End(3, more=False))
    ((method, path, query, headers),) = client.asked
    assert method == "GET"
    assert path == "/api/v1/namespaces/aos-system/services/https:aos-gateway:admin/proxy/v1/audit"
    assert query == {"namespace": "sales"}
    assert headers == {"X-AOS-Token": "token-1"}
    assert client.tokens == ["/api/v1/namespaces/aos-system/serviceaccounts/aos-auditor/token"]


@pytest.mark.parametrize(
    ("account", "namespace", "expected"),
    [
        ("", "sales", ("aos-system", "aos-auditor")),
        ("team", "sales", ("sales", "team")),
        ("other/team", "sales", ("other", "team")),
        ("team", "", ("aos-system", "team")),
    ],
)
def test_whose_token_is_asked_for(account: str, namespace: str, expected: tuple[str, str]) -> None:
    assert AuditPlace("aos-system", namespace, account).account == expected


async def test_a_token_is_asked_for_once() -> None:
    reader, client = source(b'{"items":[]}', b'{"items":[]}')
    assert await reader.heads() == ()
    assert await reader.records() == ()
    assert len(client.tokens) == 1


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (lines(encode_row(ROWS[0])), "broke off"),
        (b"", "broke off"),
        (lines(b'{"damaged":{"chain":"c","sequence":3,"message":"row 3 is broken"}}'), "row 3 is broken"),
        (lines(b'{"chain":"c","sequence":3}'), "row 3 of audit chain c"),
        (lines(b'{"error":{"message":"the disk is gone"}}'), "the disk is gone"),
        (lines(b"nonsense"), "can't be read"),
        (lines(b"[]"), "can't be read"),
        (b"x" * 1_100_000, "a line has more than"),
    ],
    ids=["cut", "empty", "damaged", "damaged row", "error", "no JSON", "no object", "long"],
)
async def test_an_answer_that_is_not_whole_is_an_error(answer: bytes, problem: str) -> None:
    reader, _ = source(answer)
    with pytest.raises(CommandError, match=problem):
        await read(reader, {}, PlainProgress())


async def test_what_a_person_can_put_right_is_said() -> None:
    target = Target("get", "proxy")
    reader, _ = source(Unavailable(target, 503, "", 'no endpoints available for service "aos-gateway"'))
    with pytest.raises(CommandError, match="--aos-namespace"):
        await reader.heads()
    reader, _ = source(Forbidden(target, 403, "", 'cannot get resource "services/proxy" in API group ""'))
    with pytest.raises(CommandError, match="aos-audit-proxy"):
        await reader.heads()
    reader, _ = source(Forbidden(target, 403, "Forbidden", "x may not get audit.aos.dev"))
    with pytest.raises(CommandError, match="x may not get"):
        await reader.heads()
    reader, client = source()
    client.refused = NotFound(target, 404, "", "serviceaccounts not found")
    with pytest.raises(CommandError, match="--service-account"):
        await reader.heads()
    reader, _ = source(NotFound(target, 404, "NotFound", "row 3 has no document"))
    assert await reader.document(ROWS[0], EVENT.policy_digest) is None


def test_a_request_becomes_parameters() -> None:
    request = AuditRequest(
        tool="crm.update_contact", effect="deny", since="90m", until="2026-01-02T11:00:00Z"
    )
    query = request.query("sales", NOW)
    assert (query["name"], query["action"], query["effect"]) == ("crm", "update_contact", "Deny")
    assert AuditRequest(effect="hold").query("", NOW)["effect"] == "Hold"
    assert (query["since"], query["until"]) == ("2026-01-02T10:30:00+00:00", "2026-01-02T11:00:00+00:00")
    with pytest.raises(CommandError, match="--since 'yesterday' is no time") as caught:
        AuditRequest(since="yesterday").query("", NOW)
    assert caught.value.code is ExitCode.USAGE
    with pytest.raises(CommandError, match="--effect 'denied' is no effect: write allow, deny or hold"):
        AuditRequest(effect="denied").query("", NOW)


async def test_what_a_change_is_refused_for_is_said_without_the_path_to_the_gateway() -> None:
    reader, _ = source(
        ApiError(Target("put", "/api/v1/proxy"), 409, "", "there is a legal hold case-7 already")
    )
    with pytest.raises(CommandError) as caught:
        await reader.hold("case-7", "why")
    assert str(caught.value) == "there is a legal hold case-7 already"
    reader, _ = source(Unavailable(Target("delete", "/api/v1/proxy"), 503, "", "the disk is gone"))
    with pytest.raises(Unavailable):
        await reader.free("contact/1")


def test_nothing_found_says_where_it_was_looked_for_and_how_to_look_further() -> None:
    assert (PLACE.where, PLACE.wider) == (
        "in namespace sales",
        "; -n NAME asks about another namespace, -A about all",
    )
    everywhere = AuditPlace("aos-system", "")
    assert (everywhere.where, everywhere.wider) == ("in any namespace", "")


def test_a_row_is_a_line_that_names_it() -> None:
    line = table(ROWS).render(None)[2]
    assert line.split()[:7] == [
        "2026-01-02",
        "03:04:01",
        "Outcome",
        "lead-enricher",
        "t-1",
        "crm.update_contact",
        "Allow",
    ]
    assert line.endswith("gateway-1/2")


def test_every_format_is_one_document_a_line() -> None:
    for style in ExportFormat:
        line = FORMATS[style](ROWS[1])
        assert "\n" not in line
        assert isinstance(json.loads(line), dict)


def verdict(*, broken: bool = False) -> Verification:
    rows = chain_of([start_mark("gateway-1", event(0).time, ()), event(1), event(2)])
    anchors = [HeadSigner().sign(ChainHead("gateway-1", 2, rows[1].hash, event(1).time))]
    if broken:
        rows[1] = replace(rows[1], event=replace(EVENT, effect="Deny"))
    return verify(rows, [], anchors, datetime.fromisoformat(event(2).time))


def test_a_verdict_says_what_is_wrong_how_far_it_reaches_and_what_it_does_not_cover() -> None:
    good, bad = report(verdict()), report(verdict(broken=True))
    assert good[0].startswith(
        "the trail holds: 3 rows in 1 chains checked, 0 deleted by retention, 1 not anchored"
    )
    assert "  gateway-1: rows to 3, anchored to 2" in good
    assert bad[0].startswith("Changed: row 2 of chain gateway-1")
    assert "THE TRAIL DOES NOT HOLD" in bad[1]
    for limit in LIMITS:
        assert f"  - {limit}" in good
        assert f"  - {limit}" in bad
    assert data(verdict(broken=True))["holds"] is False


def test_a_verdict_says_of_which_chain_only_the_start_of_another_tells() -> None:
    short = chain_of([start_mark("gateway-1", event(0).time, ()), event(1)])
    known = ChainHead("gateway-1", 2, short[-1].hash, event(1).time)
    later = chain_of([start_mark("gateway-2", event(2).time, [known])], "gateway-2")
    anchor = HeadSigner().sign(ChainHead("gateway-2", 1, later[0].hash, event(2).time))
    verification = verify([*short, *later], [], [anchor], NOW)
    assert report(verification)[1] == (
        "  gateway-1: rows to 2, anchored to none, to 2 by the start of a later chain alone"
    )
    assert verification.holds


async def test_a_trail_without_anchors_does_not_hold() -> None:
    rows = chain_of([start_mark("gateway-1", event(0).time, ()), event(1)])
    head = ChainHead("gateway-1", 2, rows[-1].hash, event(1).time)
    reader, _ = source(lines(*(encode_row(row) for row in rows), END))
    verification = await checked(reader, [head], (), Verifier(NOW), PlainProgress())
    assert "Unanchored: rows 1 to 2 of chain gateway-1" in report(verification)[0]
    assert not verification.holds


def test_a_copy_of_the_anchors_is_read_and_anything_else_is_a_usage_error(tmp_path: Path) -> None:
    head = HeadSigner().sign(ChainHead("gateway-1", 2, "a" * 64, event(1).time))
    copy = tmp_path / "anchors.jsonl"
    copy.write_bytes(head.encode() + b"\n")
    assert load(copy) == [head]
    copy.write_text("nonsense")
    for file in (copy, tmp_path / "none"):
        with pytest.raises(CommandError, match="holds no anchors"):
            load(file)


async def test_a_chain_is_read_page_by_page_and_on_past_a_damaged_row() -> None:
    rows = chain_of([start_mark("gateway-1", event(0).time, ()), *(event(number) for number in range(1, 5))])
    damaged = Damaged("gateway-1", 4, "row 4 can't be read")
    reader, client = source(
        lines(*(encode_row(row) for row in rows[:2]), b'{"end":{"rows":2,"more":true}}'),
        lines(
            encode_row(rows[2]),
            b'{"damaged":{"chain":"gateway-1","sequence":4,"message":"row 4 can\'t be read"}}',
        ),
        lines(encode_row(rows[4]), END),
    )
    head = ChainHead("gateway-1", 5, rows[4].hash, rows[4].event.time)
    verifier = Verifier(datetime.fromisoformat(head.time))
    verification = await checked(reader, [head], (), verifier, PlainProgress())
    assert [item.message for item in verification.findings] == [
        f"row 4 of chain gateway-1: {damaged.message}"
    ]
    assert [query["after"] for _, _, query, _ in client.asked] == ["0", "2", "4"]


def task(name: str, uid: str, agent: str, *lineage: tuple[str, str]) -> Task:
    ancestors = [{"agent": of, "task": f"t-{of}", "taskUID": parent} for of, parent in lineage]
    return Task.parse(
        {
            "apiVersion": "aos.dev/v1alpha1",
            "kind": "Task",
            "metadata": {"name": name, "namespace": "sales", "uid": uid},
            "spec": {
                "agentRef": {"name": agent},
                "input": {"lead": "Halden"},
                "requestedBy": "jane@example.com",
                "lineage": ancestors,
            },
            "status": {
                "result": {
                    "outcome": "Succeeded",
                    "output": {"score": 1},
                    "time": "2026-01-02T03:05:00Z",
                }
            },
        }
    )


def drawn(
    name: str, rows: list[object], tasks: dict[str, Task], decided: Mapping[str, str] | None = None
) -> str:
    node = story(name, rows, tasks, decided)  # type: ignore[arg-type]
    assert node is not None
    console = Console(width=160)
    with console.capture() as captured:
        console.print(tree(node))
    return captured.get()


def test_a_story_is_a_tree_of_calls_and_of_tasks_that_were_handed_over() -> None:
    first = task("t-1", "task-uid", "lead-enricher")
    second = task("t-2", "child-uid", "copywriter", ("lead-enricher", "task-uid"))
    handed = event(
        3,
        task="t-2",
        task_uid="child-uid",
        agent="copywriter",
        effect="Deny",
        reason="NoRule",
        phase=Phase.REFUSAL,
        outcome="Refused",
    )
    rows = chain_of([event(1, phase=Phase.INTENT, outcome=""), event(1), handed])
    said = drawn("t-1", list(rows), {"task-uid": first, "child-uid": second})
    assert (
        "Task t-1: agent lead-enricher, asked for by jane@example.com; 1 calls, 0 denied, 0 tokens, 0.000200 USD"
        in said
    )
    assert 'input: {"lead": "Halden"}' in said
    assert "crm.update_contact  Allow  Allowed  OK" in said
    assert "decided by Policy sales-baseline, rule write-crm" in said
    assert "row gateway-1/2" in said
    assert "Task t-2: agent copywriter" in said
    assert "0 calls, 1 denied" in said
    assert "Deny  NoRule  Refused" in said
    assert said.rstrip().endswith('Succeeded: {"score": 1}')


def test_what_people_and_agents_said_in_a_story_drives_no_terminal() -> None:
    made = event(1, approvals=("apr-1",))
    done = task("t-1", "task-uid", "lead-enricher")
    result = TaskResult(outcome=Outcome.FAILED, reason="Gave up", message="\x1b[2Jall is well", time=NOW)
    failed = done.model_copy(update={"status": done.status.model_copy(update={"result": result})})
    said = drawn(
        "t-1", list(chain_of([made])), {"task-uid": failed}, {"apr-1": "approved by \x1b[31mbea\u202e"}
    )
    assert "apr-1 (approved by \\u001b[31mbea\\u202e)" in said
    assert "Failed: Gave up: \\u001b[2Jall is well" in said
    assert "\x1b" not in said


def test_a_call_that_people_were_asked_about_is_not_counted_as_one_that_was_made() -> None:
    asked = event(2, effect="Hold", reason="ApprovalPending", phase=Phase.REFUSAL, outcome="Refused")
    said = drawn("t-1", list(chain_of([event(1), asked])), {})
    assert "1 calls, 0 denied, 1 held, " in said
    assert "Hold  ApprovalPending  Refused" in said


def test_a_story_without_its_task_is_told_from_the_rows() -> None:
    said = drawn("t-1", [ROWS[0]], {})
    assert "(the Task is gone, or you may not read it)" in said
    assert "no outcome is on record" in said
    assert story("t-9", ROWS, {}) is None
    node = story("task-uid", ROWS[:2], {})
    assert node is not None
    assert story_data(node)["task"] == "t-1"


def test_a_story_tells_who_approved_what() -> None:
    rows = chain_of([event(1, approvals=("apr-1", "apr-2"))])
    node = story("t-1", rows, {}, {"apr-1": "approved by bea: fine", "apr-3": "approved by eve"})
    assert node is not None
    console = Console(width=160)
    with console.capture() as captured:
        console.print(tree(node))
    assert "approval apr-1 (approved by bea: fine); apr-2\n" in captured.get()
    assert story_data(node)["approvals"] == {"apr-1": "approved by bea: fine"}


def test_a_story_tells_from_the_rows_who_approved_what_when_the_request_is_gone() -> None:
    approvers = ("ana@example.com Approve", "max@example.com Reject")
    said = drawn("t-1", list(chain_of([event(1, approvals=("apr-1",), approvers=approvers)])), {})
    assert "approval apr-1\n" in said
    assert "people said ana@example.com Approve; max@example.com Reject\n" in said


@pytest.mark.parametrize("reference", ["", "gateway-1", "gateway-1/", "gateway-1/0", "gateway-1/x", "/3"])
def test_what_names_no_row_is_a_usage_error(reference: str) -> None:
    with pytest.raises(CommandError, match="is no row"):
        parsed(reference)


def test_a_row_is_shown_with_prompt_image_and_policy_as_far_as_they_are_kept() -> None:
    assert parsed("gateway-1/17") == ("gateway-1", 17)
    revision: JsonObject = {"instructions": "Enrich.", "image": "aos:1", "spec": {"model": "m"}}
    whole = shown(ROWS[1], {"layers": []}, revision, "")
    assert whole["revision"] == {
        "name": EVENT.revision,
        "digest": EVENT.revision_digest,
        "image": "aos:1",
        "prompt": "Enrich.",
        "spec": {"model": "m"},
    }
    assert whole["policy"] == {"digest": EVENT.policy_digest, "content": {"layers": []}}
    gone = shown(ROWS[1], None, {}, "it is gone")
    assert gone["revision"] == {"name": EVENT.revision, "problem": "it is gone"}
    assert gone["policy"] == {"digest": EVENT.policy_digest, "problem": "it is not kept"}
    (about,) = chain_of([start_mark("gateway-1", event(0).time, ())])
    assert list(shown(about, None, {}, "")) == ["row"]


def test_holds_and_records_are_tables() -> None:
    hold: JsonObject = {
        "name": "suit",
        "namespace": "",
        "created_by": "jane",
        "created_at": 0,
        "reason": "case",
    }
    assert holds_table((hold,)).rows == (("suit", "(all)", "jane", "1970-01-01 00:00:00", "case"),)
    lease: JsonObject = {"record": "r", "namespace": "sales", "agent": "a", "task": "t", "expires_at": None}
    assert records_table((lease,)).rows == (("r", "sales", "a", "t", ""),)
