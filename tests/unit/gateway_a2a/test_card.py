from a2a.client.card_resolver import parse_agent_card

from aos.gateway.a2a.card import card_of
from aos.gateway.a2a.protocol import SCHEMAS_EXTENSION
from aos.model.agent import Agent
from tests.unit.gateway.make import raw_agent

URL = "https://gateway:8443/a2a/sales/writer"
SCHEMA = {"type": "object"}


def test_the_official_client_reads_the_card() -> None:
    agent = Agent.parse(raw_agent("writer", input={"schema": {**SCHEMA}}, output={"schema": {**SCHEMA}}))
    card = parse_agent_card(card_of(agent, URL))
    assert (card.name, card.version) == ("writer", "1")
    assert {(item.url, item.protocol_binding) for item in card.supported_interfaces} == {(URL, "JSONRPC")}
    assert [item.protocol_version for item in card.supported_interfaces] == ["1.0", "0.3"]
    (extension,) = card.capabilities.extensions
    assert extension.uri == SCHEMAS_EXTENSION
    assert set(extension.params.keys()) == {"input", "output"}


def test_an_agent_without_schemas_has_a_card_too() -> None:
    card = parse_agent_card(card_of(Agent.parse(raw_agent("writer")), URL))
    assert not card.capabilities.extensions[0].params.keys()
    assert not card.capabilities.push_notifications


def test_what_an_agent_can_do_is_its_skills() -> None:
    able = Agent.parse(raw_agent("writer", capabilities=["draft-letter", "translate"]))
    card = parse_agent_card(card_of(able, URL))
    assert [skill.id for skill in card.skills] == ["draft-letter", "translate"]
    assert [
        skill.id for skill in parse_agent_card(card_of(Agent.parse(raw_agent("writer")), URL)).skills
    ] == ["writer"]


def test_attack_28_a_card_says_nothing_of_what_an_agent_is_told_or_may_do() -> None:
    said = str(card_of(Agent.parse(raw_agent("writer", instructions="Be kind to Ada.")), URL))
    assert "Ada" not in said
    assert "crm" not in said
