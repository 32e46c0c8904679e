"""What the code can say and be told stands in the docs."""

import re
from pathlib import Path

import pytest

from aos.gateway.settings import GatewaySettings
from aos.model.condition_docs import CONDITIONS
from aos.model.conditions import ConditionType, Reason
from aos.model.kind import Kind
from aos.model.kinds import KINDS
from aos.workflow.reasons import STEP_REASON_DOCS, StepReason
from hack.generate.outputs import outputs

ROOT = Path(__file__).resolve().parents[3]
DOCS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("docs/decisions/*.md"),
    *ROOT.glob("examples/**/*.md"),
]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    links = [link for link in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_page_is_found_from_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    linked = set(LINK.findall(index))
    assert [page.name for page in ROOT.glob("docs/*.md") if page.name not in {*linked, "README.md"}] == []
    assert "docs/README.md" in LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_each_kind_has_a_guide_that_tells_of_it_and_a_page_of_its_fields(kind: Kind) -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in index if line.startswith(f"| {kind.kind} |")]
    guide, reference = LINK.findall(row)
    assert reference == f"reference/{kind.kind.lower()}.md"
    text = (ROOT / "docs" / guide).read_text(encoding="utf-8")
    assert reference in text
    assert kind.kind in text


def test_every_reason_of_a_condition_is_documented() -> None:
    documented = {reason for doc in CONDITIONS for reason in doc.reasons}
    assert set(Reason) - documented == set()


def test_every_reason_of_a_step_is_documented() -> None:
    assert set(STEP_REASON_DOCS) == set(StepReason)


def test_every_condition_is_documented() -> None:
    assert {doc.type for doc in CONDITIONS} == set(ConditionType)


def test_every_setting_of_the_gateway_is_documented() -> None:
    page = (ROOT / "docs/gateway.md").read_text(encoding="utf-8")
    assert [
        name for name in GatewaySettings.model_fields if GatewaySettings.variable_of(name) not in page
    ] == []


def test_every_value_of_the_chart_is_documented() -> None:
    page = (ROOT / "docs/installation.md").read_text(encoding="utf-8")
    values = re.findall(
        r"^  ([a-zA-Z]+):", (ROOT / "charts/aos/values.yaml").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [name for name in values if name not in page] == []


def test_generated_files_are_what_the_code_says() -> None:
    stale = [path for path, text in outputs().items() if (ROOT / path).read_text(encoding="utf-8") != text]
    assert stale == []
