import re
from pathlib import Path

import pytest

from aos.agent.failure import Failure, FailureReason, TaskFailedError, shortened

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "runtime.md"


@pytest.mark.parametrize("reason", FailureReason)
def test_each_reason_is_a_condition_reason_and_documented(reason: FailureReason) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z]{0,63}", reason)
    assert f"`{reason}`" in DOCUMENTATION.read_text(encoding="utf-8")


def test_an_error_carries_its_failure() -> None:
    failure = Failure(FailureReason.MODEL_DENIED, "no")
    error = TaskFailedError(failure)
    assert error.failure == failure
    assert str(error) == "ModelDenied: no"


def test_a_message_is_one_line_of_bounded_length() -> None:
    assert shortened("a\n b\t\tc") == "a b c"
    assert shortened("abcdef", 4) == "abc…"
