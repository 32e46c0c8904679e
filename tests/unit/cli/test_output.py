import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from pydantic import JsonValue

from aos.cli.formats import DataFormat
from aos.cli.output import Table, age, as_data, joined, one_line, short_digest, wrapped
from aos.inspection.visible import visible

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TABLE = Table(
    headings=("AGENT", "READY", "WHY"),
    rows=(("enricher", "no", "GatewayBehind: a replica still reports another digest"), ("writer", "yes", "")),
)


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert TABLE.render(None) == [
        "AGENT     READY  WHY",
        "enricher  no     GatewayBehind: a replica still reports another digest",
        "writer    yes",
    ]


def test_the_last_column_is_cut_where_there_is_still_room_to_say_something() -> None:
    lines = TABLE.render(45)
    assert lines[1] == "enricher  no     GatewayBehind: a replica st…"
    assert max(len(line) for line in lines) == 45


def test_on_a_narrow_terminal_each_row_is_a_block_and_nothing_is_cut() -> None:
    lines = TABLE.render(30)
    assert max(len(line) for line in lines) <= 30
    assert lines[0] == "enricher"
    assert lines[1] == "  ready: no"
    assert " ".join(line.strip() for line in lines[2:5]) == (
        "why: GatewayBehind: a replica still reports another digest"
    )
    assert lines[-2:] == ["writer", "  ready: yes"]


def test_a_long_name_stays_whole() -> None:
    assert wrapped("see https://example.com/a-very-long-address-indeed now", 24) == [
        "see",
        "  https://example.com/a-very-long-address-indeed",
        "  now",
    ]


def test_without_a_width_nothing_is_wrapped() -> None:
    assert wrapped("word " * 100, None, "  ") == ["  " + "word " * 100]


@pytest.mark.parametrize("style", DataFormat)
def test_data_comes_back_as_it_was(style: DataFormat) -> None:
    value: dict[str, JsonValue] = {"name": "Zoë", "list": [1, None, {"a": True}], "digest": "sha256:ab"}
    text = as_data(value, style)
    assert (json.loads(text) if style is DataFormat.JSON else yaml.safe_load(text)) == value
    assert "Zoë" in text


@pytest.mark.parametrize("style", DataFormat)
@pytest.mark.parametrize("text", ["\x1b[2J", "a\u202eb", "\x7f", "\x9b31m", "Zoë\u200b"])
def test_data_that_would_drive_a_terminal_is_escaped_and_comes_back_as_it_was(
    style: DataFormat, text: str
) -> None:
    value: dict[str, JsonValue] = {"name": text, text: ["x"]}
    shown = as_data(value, style)
    assert visible(shown, keep="\n") == shown
    assert (json.loads(shown) if style is DataFormat.JSON else yaml.safe_load(shown)) == value


@pytest.mark.parametrize("width", [None, 60, 24])
def test_a_table_drives_no_terminal_whatever_agents_call_their_calls(width: int | None) -> None:
    rows = (("crm.\x1b[2J\u202e", "Deny\nAllow", "\x9b31mwhy"),)
    said = "\n".join(Table(("CALL", "EFFECT", "WHY"), rows).render(width))
    assert "crm.\\u001b[2J\\u202e" in said
    assert "Deny\\u000aAllow" in said
    assert "\\u009b31mwhy" in said
    assert visible(said, keep="\n") == said


def test_one_line_holds_nothing_that_can_not_be_seen() -> None:
    assert one_line("a\n\x1b[2J  b\u202ec") == "a \\u001b[2J b\\u202ec"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (86_399, "23h"),
        (200_000, "2d"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(seconds: int, text: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


def test_small_helpers() -> None:
    assert short_digest("sha256:" + "ab" * 32) == "ab" * 6
    assert joined(("Reason", "")) == "Reason"
    assert joined(("Reason", "message")) == "Reason: message"
    assert joined(("Reason", "two\n  lines\n")) == "Reason: two lines"
