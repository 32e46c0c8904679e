"""The page about Workflows says what the code does."""

import re
from pathlib import Path

import pytest
import yaml

from aos.model.agent import Agent
from aos.model.workflow import MAX_STEPS, Workflow
from aos.policy.cost import MAX_LOOP_DEPTH
from aos.workflow import checking
from aos.workflow.checking import World, problems
from aos.workflow.expression import ALLOWANCE, MAX_DEPTH, VARIABLES
from aos.workflow.template import MAX_EXPRESSIONS, MAX_RENDERED_BYTES

PAGE = (Path(__file__).resolve().parents[3] / "docs/workflows.md").read_text(encoding="utf-8")
SHOWN = [
    manifest
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for manifest in yaml.safe_load_all(block)
]
AGENTS = {
    shown["metadata"]["name"]: Agent.model_validate(shown).spec for shown in SHOWN if shown["kind"] == "Agent"
}
WORKFLOWS = {
    shown["metadata"]["name"]: Workflow.model_validate(shown).spec
    for shown in SHOWN
    if shown["kind"] == "Workflow"
}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_what_is_shown_is_accepted(name: str) -> None:
    assert problems(WORKFLOWS[name], World(name, AGENTS, WORKFLOWS)) == ()


def test_what_is_shown_to_be_refused_is_told_in_these_words() -> None:
    text = yaml.safe_dump(WORKFLOWS["outreach"].model_dump(mode="json", by_alias=True, exclude_none=True))
    broken = text.replace("output.score >=", "output.scor >=").replace("output.summary}", "output.score}")
    found = problems(
        Workflow.model_validate(
            {"metadata": {"name": "x", "namespace": "y"}, "spec": yaml.safe_load(broken)}
        ).spec,
        World("outreach", AGENTS, WORKFLOWS),
    )
    page = " ".join(PAGE.split())
    assert len(found) == 2
    assert all(str(problem).partition(";")[0] in page for problem in found)


@pytest.mark.parametrize("name", VARIABLES)
def test_each_variable_is_explained(name: str) -> None:
    assert re.search(rf"^\|.*`{name}(\.NAME\.output)?`.*\|", PAGE, re.MULTILINE)


def test_the_bounds_are_told() -> None:
    largest = ALLOWANCE.sizes[-1]
    for told in (
        f"{MAX_STEPS} steps, {checking.MAX_EXPRESSIONS:,} expressions",
        f"{MAX_EXPRESSIONS} expressions, {MAX_RENDERED_BYTES // 1024} KiB, {MAX_DEPTH} deep",
        f"and {ALLOWANCE.work_ns // 1_000_000} ms for all",
        f"{largest.text_bytes // 1024**2:.0f} MiB and {largest.values:,.0f} values",
        f"`filter` {MAX_LOOP_DEPTH} deep in each other",
        f"through lists of {ALLOWANCE.sizes[-2].items:,.0f}",
    ):
        assert told in PAGE
