from pathlib import Path

import pytest

from aos.gateway.journal import CallOutcome
from aos.gateway.metrics import METRICS
from aos.gateway.refusal import RefusalCode
from aos.gateway.settings import GatewaySettings

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "gateway.md").read_text()
ROWS = {line.split("|")[1].strip(" `"): line for line in PAGE.splitlines() if line.startswith("| `")}


@pytest.mark.parametrize("code", list(RefusalCode))
def test_every_code_of_a_refusal_is_documented(code: RefusalCode) -> None:
    assert code.value in ROWS


@pytest.mark.parametrize("name", list(GatewaySettings.model_fields))
def test_every_setting_is_documented_with_its_default_and_meaning(name: str) -> None:
    field = GatewaySettings.model_fields[name]
    row = ROWS[GatewaySettings.variable_of(name)]
    assert field.description is not None
    assert field.description in row
    default = field.default
    if isinstance(default, int | float):
        assert f"| `{default:g}` |" in row or f"| `{default}` |" in row


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_is_documented(name: str) -> None:
    assert METRICS[name] in ROWS[name]


@pytest.mark.parametrize("outcome", list(CallOutcome))
def test_every_outcome_is_documented(outcome: CallOutcome) -> None:
    assert f"`{outcome.value}`" in PAGE
