import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from pydantic import JsonValue
from starlette.types import Send

from aos.gateway.approvals import preview as module
from aos.gateway.approvals.preview import PreviewError, ToolPreviewer, compared, merged, record_of
from aos.gateway.metrics import GatewayMetrics
from aos.model.approval_request import MAX_PREVIEW_LENGTH, Preview
from aos.model.base import JsonObject
from aos.policy.obligations import DataRules, PatternRule
from examples.common.service import Settings, fingerprint
from examples.sales import crm
from tests.unit.agent.serving import serve
from tests.unit.gateway_approvals.held_calls import crm_tool, held_call
from tests.unit.gateway_mcp.make import CREDENTIAL, SETTINGS, definition
from tests.unit.gateway_mcp.world import Gateway, answer, gateway, scripted

CONTACT = "emea-0001"
NO_RULES = DataRules()


@dataclass
class World:
    """A gateway in front of the example's CRM."""

    front: Gateway
    url: str
    database: crm.Database
    metrics: GatewayMetrics

    @property
    def previewer(self) -> ToolPreviewer:
        return ToolPreviewer(self.front.registry, self.front.catalogue, self.front.systems, self.metrics)

    async def preview(self, arguments: JsonObject, declared: JsonValue = None) -> Preview | None:
        tool = crm_tool(self.url, declared)
        await self.front.offer(tool)
        return await self.previewer.preview(held_call(arguments, tool))

    @property
    def failures(self) -> int:
        text = self.metrics.exposition().decode()
        return sum('result="NotPreviewed"' in line for line in text.splitlines())


@asynccontextmanager
async def world() -> AsyncGenerator[World]:
    database = crm.Database(":memory:")
    app = crm.crm_app(Settings(fixed_token=CREDENTIAL), database)
    metrics = GatewayMetrics()
    async with serve(app) as url, gateway() as front:
        yield World(front, f"{url}/mcp", database, metrics)
    metrics.close()
    database.close()


def loaded(preview: Preview | None) -> tuple[JsonObject, JsonObject]:
    assert preview is not None
    return json.loads(preview.before), json.loads(preview.after)


async def test_people_see_the_record_as_it_is_and_as_it_would_be() -> None:
    async with world() as made:
        before, after = loaded(await made.preview({"id": CONTACT, "stage": "won", "score": 0.9}))
        assert made.database.contact(CONTACT).stage == before["stage"]
    assert before == {
        "id": CONTACT,
        "name": "Mira Solberg",
        "title": "VP Supply Chain",
        "company": "Halden Robotics",
        "stage": "new",
        "score": None,
    }
    assert after == {**before, "stage": "won", "score": 0.9}


async def test_the_tool_is_asked_with_its_own_credential_and_only_to_read() -> None:
    async with world() as made:
        await made.preview({"id": CONTACT, "stage": "won"})
        calls = [access for access in made.database.log.last(100) if access.method == "tools/call"]
    assert [(access.action, access.status) for access in calls] == [("get_contact", 200)]
    assert calls[0].credential == fingerprint(f"Bearer {CREDENTIAL}")


async def test_personal_data_is_shown_to_nobody() -> None:
    async with world() as made:
        preview = await made.preview({"id": CONTACT, "email": "mira@halden.example", "next_step": "a"})
    before, after = loaded(preview)
    assert "halden.example" not in str(preview)
    assert before["email"] == after["email"] == "[redacted:pii]"


async def test_an_action_without_a_preview_has_none_and_nothing_is_asked() -> None:
    async with world() as made:
        tool = crm_tool(made.url)
        await made.front.offer(tool)
        held = held_call({"id": CONTACT, "text": "a"}, tool, "add_note")
        assert await made.previewer.preview(held) is None
        assert not [access for access in made.database.log.last(100) if access.method == "tools/call"]
        assert made.failures == 0


@pytest.mark.parametrize(
    ("declared", "arguments", "why"),
    [
        (None, {"id": "emea-9999"}, "the tool answered with an error"),
        (None, {"stage": "won"}, "ExpressionError"),
        (None, {"id": 7}, "do not fit the input schema of get_contact"),
        ({"action": "nothing"}, {"id": CONTACT}, "offers no Read action nothing"),
        ({"action": "add_note"}, {"id": CONTACT}, "offers no Read action add_note"),
    ],
)
async def test_what_can_not_be_read_is_left_out_counted_and_said_in_the_log(
    declared: JsonValue, arguments: JsonObject, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with world() as made:
        with caplog.at_level(logging.WARNING):
            assert await made.preview(arguments, declared) is None
        assert made.failures == 1
    assert why in caplog.text
    assert "emea-" not in caplog.text


async def test_a_tool_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PREVIEW_SECONDS", 0.05)

    async def never(_method: str, _body: JsonObject, _send: Send) -> None:
        await asyncio.Event().wait()

    assert await scripted_preview(never) is None


async def test_a_record_that_is_too_large_is_not_shown() -> None:
    async def huge(_method: str, body: JsonObject, send: Send) -> None:
        record: JsonObject = {"id": "1", "text": "x" * module.MAX_RECORD_BYTES}
        await answer(send, body, {"content": [], "structuredContent": record})

    assert await scripted_preview(huge) is None


async def test_a_tool_that_breaks_off_is_no_reason_to_fail() -> None:
    async def broken(_method: str, body: JsonObject, send: Send) -> None:
        await answer(send, body, {"content": "nonsense"})

    assert await scripted_preview(broken) is None


async def scripted_preview(script: object) -> Preview | None:
    definitions = [definition("get_contact"), definition("update_contact"), definition("add_note")]
    metrics = GatewayMetrics()
    async with scripted(definitions, script) as (url, _, _), gateway(SETTINGS) as front:  # type: ignore[arg-type]
        tool = crm_tool(url)
        await front.offer(tool)
        previewer = ToolPreviewer(front.registry, front.catalogue, front.systems, metrics)
        try:
            return await previewer.preview(held_call({"id": "1", "stage": "won"}, tool))
        finally:
            metrics.close()


@pytest.mark.parametrize(
    ("result", "record"),
    [
        ({"structuredContent": {"a": 1}, "content": []}, {"a": 1}),
        ({"content": [{"type": "text", "text": '{"a": 1}'}]}, {"a": 1}),
    ],
)
def test_a_record_is_read_from_what_is_structured_or_from_json(
    result: JsonObject, record: JsonObject
) -> None:
    assert record_of(result) == record


@pytest.mark.parametrize(
    "result",
    [
        {"isError": True, "structuredContent": {"a": 1}},
        {"content": [{"type": "text", "text": "Mira Solberg"}]},
        {"content": [{"type": "text", "text": "[1]"}]},
        {"content": [{"type": "text", "text": "{}"}, {"type": "text", "text": "{}"}]},
        {"content": [{"type": "image", "data": "aaaa"}]},
        {"content": ["text"]},
        {"content": []},
        {"structuredContent": [1]},
    ],
)
def test_what_is_no_object_is_no_record(result: JsonObject) -> None:
    with pytest.raises(PreviewError):
        record_of(result)


def shown(
    found: JsonObject, arguments: JsonObject, rules: DataRules = NO_RULES
) -> tuple[JsonObject, JsonObject]:
    return loaded(compared(found, arguments, rules))


def test_only_fields_that_change_and_those_that_identify_are_shown() -> None:
    found: JsonObject = {
        "id": 7,
        "NAME": "Halden",
        "stage": "new",
        "notes": ["secret plans"],
        "industry": "x",
    }
    assert shown(found, {"id": 7, "stage": "won"}) == (
        {"id": 7, "NAME": "Halden", "stage": "new"},
        {"id": 7, "NAME": "Halden", "stage": "won"},
    )


def test_the_object_that_shares_most_names_with_the_arguments_is_the_record() -> None:
    found: JsonObject = {
        "id": "page-1",
        "contact": {"id": "c", "stage": "new", "owner": {"id": "o"}},
        "history": [{"id": "c", "stage": "old", "score": 1}],
    }
    assert shown(found, {"id": "c", "stage": "won", "score": 2}) == (
        {"id": "c", "stage": "new"},
        {"id": "c", "stage": "won", "score": 2},
    )


def test_objects_are_merged_and_all_else_is_replaced() -> None:
    before: JsonObject = {"a": {"b": 1, "c": {"d": 1}}, "list": [1, 2], "text": "x", "gone": 1}
    arguments: JsonObject = {"a": {"c": {"e": 2}}, "list": [3], "text": {"y": 1}, "gone": None, "new": 1}
    assert merged(before, arguments) == {
        "a": {"b": 1, "c": {"d": 1, "e": 2}},
        "list": [3],
        "text": {"y": 1},
        "gone": None,
        "new": 1,
    }
    assert before["list"] == [1, 2]


def test_a_record_that_shares_no_name_is_shown_by_what_identifies_it() -> None:
    assert shown({"id": 1, "total": 5, "name": ["x"]}, {"percent": 20}) == (
        {"id": 1},
        {"id": 1, "percent": 20},
    )


def test_what_policies_keep_from_anybody_is_kept_from_people_too() -> None:
    rules = DataRules(
        redact_response=frozenset({"code-name"}),
        patterns=frozenset({PatternRule("code-name", "Project [A-Z][a-z]+")}),
    )
    before, after = shown({"stage": "Project Orion", "id": 1}, {"stage": "Project Vega"}, rules)
    assert "Orion" not in str(before)
    assert "Vega" not in str(after)


def test_what_is_shown_is_short_enough_and_still_json() -> None:
    found: JsonObject = {f"field-{number}": "x" * 5_000 for number in range(50)}
    preview = compared(found, dict.fromkeys(found, "y"), NO_RULES)
    assert len(preview.before) <= MAX_PREVIEW_LENGTH
    assert len(preview.after) <= MAX_PREVIEW_LENGTH
    loaded(preview)


def test_nothing_that_is_shown_is_hidden_or_turned_around() -> None:
    before, _ = shown({"stage": "a\u202eb\u200b", "id": 1}, {"stage": "x"})
    assert before["stage"] == "a<U+202E>b<U+200B>"
