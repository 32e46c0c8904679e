"""Where the question itself was the trouble, the answer says how to ask better."""

from collections.abc import Mapping

import pytest
from pydantic import JsonValue

from aos.cli.why_hints import MAX_NAMES, hints
from aos.model.tool import Tool
from aos.policy.effective import EffectivePolicy
from aos.policy.explanation import explain
from tests.unit.policy.make import agent, call, merged, policy, rule, tool


def told(
    found: EffectivePolicy,
    action: str,
    arguments: Mapping[str, JsonValue] | None = None,
    tool_name: str = "crm",
) -> list[str]:
    asked = call(action, arguments, tool_name)
    explanation = explain(found, asked)
    return hints(found, explanation, explanation.decision, asked)


OPEN = merged(policy(rule("read")))
BOUND = merged(
    policy(
        rule("own", when="args.id.startsWith('emea-') && args.?kind.orValue('lead') == 'lead'"),
        rule("quoted", "Deny", when='args["all rows"]'),
    )
)


def test_a_good_question_has_no_hint() -> None:
    assert told(OPEN, "get_contact") == []
    assert told(BOUND, "get_contact", {"id": "emea-1", "all rows": False}) == []


def test_a_wrong_action_is_answered_with_those_that_there_are_and_the_closest() -> None:
    assert told(OPEN, "get_contacts") == [
        (
            "Tool crm has the actions export_contacts, get_contact, search_contacts, update_contact;"
            " did you mean get_contact?"
        )
    ]
    assert told(OPEN, "zzz") == [
        "Tool crm has the actions export_contacts, get_contact, search_contacts, update_contact"
    ]


def test_a_wrong_tool_is_answered_with_those_that_the_agent_asks_for() -> None:
    assert told(OPEN, "get_contact", tool_name="mail") == ["agent enricher asks for the Tool crm"]
    nothing = merged(policy(rule("read")), of=agent(tools=[]))
    assert told(nothing, "get_contact") == ["agent enricher asks for no Tool of the namespace in spec.tools"]


def test_of_many_names_some_are_told() -> None:
    raw = tool().model_dump(mode="json", by_alias=True, exclude_none=True)
    raw["spec"]["actions"] = [
        {"name": f"a{n:02}", "access": "Read", "risk": "Low"} for n in range(MAX_NAMES + 2)
    ]
    assert told(merged(policy(rule("read")), tools=[Tool.parse(raw)]), "zzz")[0].endswith("a19 and 2 more")


@pytest.mark.parametrize(
    ("arguments", "example"),
    [
        (
            None,
            (
                "a condition looks at the call's arguments, and none were given: ask again with"
                """ --args '{"id": "...", "kind": "...", "all rows": "..."}'"""
            ),
        ),
        (
            {"kind": "lead", "all rows": False},
            (
                "a condition looks at arguments that were not given: ask again with"
                """ --args '{"kind": "lead", "all rows": false, "id": "..."}'"""
            ),
        ),
    ],
)
def test_arguments_that_conditions_look_at_are_asked_for_by_name(
    arguments: Mapping[str, JsonValue] | None, example: str
) -> None:
    assert told(BOUND, "get_contact", arguments) == [example]


def test_a_condition_on_all_arguments_asks_for_any() -> None:
    whole = merged(policy(rule("few", when="size(args) < 3")))
    assert told(whole, "get_contact")[0].endswith("""--args '{"NAME": "..."}'""")
