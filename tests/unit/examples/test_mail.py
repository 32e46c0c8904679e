from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from pydantic import JsonValue

from examples.sales import mail
from tests.unit.examples.mcp_system import SETTINGS, System, answering


@pytest.fixture
async def outbox() -> AsyncGenerator[mail.Outbox]:
    made = mail.Outbox(":memory:")
    yield made
    made.close()


@pytest.fixture
async def system(outbox: mail.Outbox) -> AsyncGenerator[System]:
    async with answering(mail.mail_app(SETTINGS, outbox)) as made:
        yield made


async def test_a_letter_goes_to_a_contact_and_stands_in_the_outbox_and_the_log(
    system: System, outbox: mail.Outbox
) -> None:
    sent = await system.must("send_message", contact="emea-0001", subject="Hello", body="Dear Mira")
    assert sent["id"] == "msg-0001"
    assert (await system.must("list_messages", contact="emea-0001"))["messages"] == [sent]
    assert (await system.must("list_messages", contact="emea-0002"))["messages"] == []
    [logged] = [access for access in outbox.log.last() if access.action == "send_message"]
    assert (logged.record, logged.status) == ("emea-0001", 200)


async def test_a_letter_that_is_sent_again_leaves_once(system: System, outbox: mail.Outbox) -> None:
    letter = {"contact": "emea-0001", "subject": "Hello", "body": "Dear Mira"}
    sent = [await replace(system, key=key).must("send_message", **letter) for key in ("a", "a", "b")]
    assert [item["id"] for item in sent] == ["msg-0001", "msg-0001", "msg-0002"]
    assert len(outbox.sent("emea-0001")) == 2


async def test_no_answer_tells_an_address(system: System) -> None:
    sent = await system.must("send_message", contact="emea-0001", subject="Hello", body="Dear Mira")
    assert "@" not in str(sent)


@pytest.mark.parametrize(
    "letter",
    [
        {"contact": "emea-9999", "subject": "s", "body": "b"},
        {"contact": "mira@example.com", "subject": "s", "body": "b"},
        {"contact": "emea-0001", "subject": "", "body": "b"},
    ],
)
async def test_a_letter_that_can_not_be_sent_is_an_error_and_is_not_sent(
    system: System, outbox: mail.Outbox, letter: dict[str, JsonValue]
) -> None:
    await system.refused("send_message", **letter)
    assert outbox.sent(str(letter["contact"])) == []
