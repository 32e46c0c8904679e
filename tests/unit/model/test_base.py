import pytest
from pydantic import ValidationError

from aos.model.agent import Agent


def test_what_a_refused_object_held_is_not_quoted() -> None:
    held = "a prompt that is nobody's business"
    with pytest.raises(ValidationError) as refused:
        Agent.parse({"metadata": {"name": "a"}, "spec": {"instructions": [held], "extra": held}})
    assert "instructions" in str(refused.value)
    assert held not in str(refused.value)
