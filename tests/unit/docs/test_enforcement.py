"""Each field of each kind is enforced, on each path, or its row says why not; the named modules and tests exist."""

import ast
from collections.abc import Collection, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from aos.model.kinds import KINDS
from hack.generate.enforcement import CASES, CallPath, Enforced, NoPart, begins, fields, place
from hack.generate.enforcement_kinds import HELD, held, spec_fields
from hack.generate.enforcement_page import enforcement_page
from hack.generate.enforcement_rows import Told
from tests.unit.gateway_a2a.test_policy_fields import CASES as HANDOFFS
from tests.unit.gateway_mcp.policy_cases import CASES as TOOLS
from tests.unit.gateway_memory.test_policy_fields import TELLING as MEMORIES
from tests.unit.gateway_models.test_policy_fields import CASES as MODELS
from tests.unit.gateway_openapi.test_policy_fields import TELLING as REST

ROOT = Path(__file__).resolve().parents[3]
FIELDS = fields()
CASES_OF: Mapping[CallPath, Collection[str]] = {
    CallPath.TOOL: TOOLS.keys(),
    CallPath.REST: REST.keys(),
    CallPath.MEMORY: MEMORIES.keys(),
    CallPath.MODEL: MODELS.keys(),
    CallPath.HANDOFF: HANDOFFS.keys(),
}
PLACES = [place(field, path) for field in FIELDS for path in CallPath]
ROWS = [(kind, field) for kind in HELD for field in spec_fields(kind)]
ENFORCED = [
    found
    for found in (*PLACES, *(held(kind, field) for kind, field in ROWS))
    if isinstance(found, Enforced | Told)
]


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


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_is_enforced_on_each_path_and_shown_by_a_test_or_says_why_not(field: str) -> None:
    for path in CallPath:
        found = place(field, path)
        if isinstance(found, NoPart):
            assert found.why.endswith(".")
            continue
        assert found.modules
        assert found.tests
        if f"{CASES[path]}[{field}]" in found.tests:
            assert field in CASES_OF[path], f"the test of {path} has no case for the field"


def test_every_case_is_of_a_field_that_has_a_part() -> None:
    for path, cases in CASES_OF.items():
        assert [field for field in cases if not isinstance(place(field, path), Enforced)] == []


@pytest.mark.parametrize("kind", [kind.kind for kind in KINDS])
def test_every_field_of_a_kinds_spec_has_a_row(kind: str) -> None:
    if kind in ("Policy", "ClusterPolicy"):
        assert set(spec_fields(kind)) <= set(FIELDS)
        return
    rows = {field: held(kind, field) for field in spec_fields(kind)}
    assert [field for field, row in rows.items() if not row.tests] == []
    unused = [name for name in HELD[kind] if not any(begins(field, name) for field in rows)]
    assert unused == [], "rows of fields that are not there"


def test_a_field_that_nobody_gave_a_row_is_told() -> None:
    with pytest.raises(KeyError, match=r"Agent\.mood has no row"):
        held("Agent", "mood")


def test_every_named_module_exists() -> None:
    named = {name for found in ENFORCED if isinstance(found, Enforced) for name in found.modules}
    assert [name for name in sorted(named) if find_spec(f"aos.{name}") is None] == []


def test_every_named_test_exists() -> None:
    named = sorted({name.partition("[")[0] for found in ENFORCED for name in found.tests})
    assert [name for name in named if not _exists(*name.split("::"))] == []


def _exists(path: str, name: str) -> bool:
    file = ROOT / "tests" / path
    return file.is_file() and name in functions_in(file)


def test_the_page_has_a_row_for_every_field() -> None:
    page = enforcement_page()
    assert [field for field in FIELDS if f"| `{field}` |" not in page] == []
    for kind in HELD:
        part = page.partition(f"### {kind}\n")[2].partition("### ")[0]
        assert [field for field in spec_fields(kind) if f"| `{field}` |" not in part] == []
