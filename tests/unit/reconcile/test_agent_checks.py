"""All that is wrong with an Agent is said at once, with what could have been meant."""

from pydantic import JsonValue

from aos.model.agent import AgentSpec
from aos.reconcile.agent_checks import Surroundings, check_agent
from tests.unit.reconcile.make import model, tool

THERE = Surroundings("Do.", {"crm": tool()}, {"small": model()}, frozenset({"copywriter"}))
NOTHING = Surroundings("Do.", {}, {}, frozenset())


def spec(**parts: JsonValue) -> AgentSpec:
    return AgentSpec.model_validate({"owner": {"team": "revops"}, "instructions": "Do.", **parts})


def test_every_problem_is_told_and_the_first_one_gives_the_reason() -> None:
    found = check_agent(
        spec(
            model={"name": "large"},
            tools=[{"name": "crmm", "actions": ["x"]}, {"name": "crm", "actions": ["drop_contact"]}],
            delegates=["copywritter"],
        ),
        THERE,
    )
    assert found.reason == "ModelNotFound"
    assert found.message.split("; ") == [
        "spec.model.name: there is no Model large in the namespace",
        "create it, or name one of small",
        "spec.tools: there is no Tool crmm in the namespace",
        "create it, or name one of crm",
        "spec.tools[crm].actions: the Tool declares nothing like drop_contact",
        f"it has {', '.join(action.name for action in tool().spec.actions)}",
        "spec.delegates: there is no Agent copywritter in the namespace",
        "create it, or name one of copywriter",
    ]


def test_where_there_is_nothing_to_name_it_is_to_be_created() -> None:
    found = check_agent(spec(model={"name": "large"}), NOTHING)
    assert found.message == "spec.model.name: there is no Model large in the namespace; create it"


def test_of_many_names_some_are_told() -> None:
    many = Surroundings("Do.", {}, {f"m{number}": model() for number in range(9)}, frozenset())
    found = check_agent(spec(model={"name": "large"}), many)
    assert found.message.endswith("create it, or name one of m0, m1, m2, m3, m4, m5, m6, m7 and 1 more")


def test_an_agent_that_names_what_is_there_is_accepted() -> None:
    tools: JsonValue = [{"name": "crm", "actions": ["*"]}]
    assert check_agent(spec(tools=tools, model={"name": "small"}, delegates=["copywriter"]), THERE).holds


def test_an_own_image_without_a_digest_is_accepted_and_told() -> None:
    loose = check_agent(spec(runtime={"image": "registry.example/agent:7"}), THERE)
    assert loose.holds
    assert "not pinned by a digest" in loose.message
    pinned = f"registry.example/agent:7@sha256:{'0' * 64}"
    assert check_agent(spec(runtime={"image": pinned}), THERE).message == ""
    assert check_agent(spec(), THERE).message == ""


def test_instructions_of_nothing_but_blanks_are_none() -> None:
    blank = Surroundings(" \n", THERE.tools, THERE.models, THERE.agents)
    assert "are blank" in check_agent(spec(), blank).message
