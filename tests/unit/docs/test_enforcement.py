"""Each field of a policy is enforced on each path, or it says why it has no part there; the named tests exist."""

import ast
from collections.abc import Collection, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from hack.generate.enforcement import CASES, CallPath, Enforced, enforcement_page, fields, place
from tests.unit.gateway_a2a.test_policy_fields import CASES as HANDOFFS
from tests.unit.gateway_mcp.test_policy_fields import CASES as TOOLS
from tests.unit.gateway_models.test_policy_fields import CASES as MODELS

ROOT = Path(__file__).resolve().parents[3]
FIELDS = fields()
CASES_OF: Mapping[CallPath, Collection[str]] = {
    CallPath.TOOL: TOOLS.keys(),
    CallPath.MODEL: MODELS.keys(),
    CallPath.HANDOFF: HANDOFFS.keys(),
}
PLACES = [(field, path) for field in FIELDS for path in CallPath]
ENFORCED = [found for field, path in PLACES if isinstance(found := place(field, path), Enforced)]


@cache
def functions_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


@pytest.mark.parametrize(
    "field",
    [
        "agents.matchExpressions[].values",
        "namespaces.matchLabels",
        "rules[].tools[].dataClasses",
        "data.in",
        "data.urls.allowHosts",
        "conflicts.leaseSeconds",
    ],
)
def test_the_fields_of_a_policy_are_found_down_to_the_last(field: str) -> None:
    assert field in FIELDS


@pytest.mark.parametrize(("field", "path"), PLACES)
def test_a_field_is_enforced_on_a_path_and_shown_by_a_test_or_says_why_not(
    field: str, path: CallPath
) -> None:
    found = place(field, path)
    if isinstance(found, Enforced):
        assert found.modules
        assert found.tests
        if f"{CASES[path]}[{field}]" in found.tests:
            assert field in CASES_OF[path], "the test has no case for the field"
    else:
        assert found.why.endswith(".")


def test_every_case_is_of_a_field_that_has_a_part() -> None:
    for path, cases in CASES_OF.items():
        assert [field for field in cases if not isinstance(place(field, path), Enforced)] == []


@pytest.mark.parametrize("module", sorted({name for found in ENFORCED for name in found.modules}))
def test_every_named_module_exists(module: str) -> None:
    assert find_spec(f"aos.{module}") is not None


@pytest.mark.parametrize(
    "test", sorted({name.partition("[")[0] for found in ENFORCED for name in found.tests})
)
def test_every_named_test_exists(test: str) -> None:
    path, _, name = test.partition("::")
    assert name in functions_in(ROOT / "tests" / path)


def test_the_page_has_a_row_for_every_field() -> None:
    page = enforcement_page()
    assert [field for field in FIELDS if f"| `{field}` |" not in page] == []
