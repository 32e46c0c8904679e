import pytest
from pydantic import ValidationError

from aos.model.agent import Agent
from aos.model.model import ModelSpec


def test_what_a_refused_object_held_is_not_quoted() -> None:
    held = "a prompt that is nobody's business"
    with pytest.raises(ValidationError) as refused:
        Agent.parse({"metadata": {"name": "a"}, "spec": {"instructions": [held], "extra": held}})
    assert "instructions" in str(refused.value)
    assert held not in str(refused.value)


@pytest.mark.parametrize("host", ["[::1", "[:::]", "[1.2.3.4]", "crm:99999", "crm:0", "-crm", "[[:"])
def test_a_url_that_leads_nowhere_is_refused_on_reading(host: str) -> None:
    with pytest.raises(ValidationError, match="url"):
        ModelSpec.model_validate({"url": f"http://{host}/v1", "model": "m"})


def test_a_url_of_an_address_in_brackets_is_taken() -> None:
    url = "https://[2001:db8::1]:8443/v1"
    assert ModelSpec.model_validate({"url": url, "model": "m"}).url == url
