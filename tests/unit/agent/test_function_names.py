import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.agent.function_names import FunctionNames

TOOL = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?", fullmatch=True)
ACTION = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_./-]{0,126}[A-Za-z0-9])?", fullmatch=True)
NAMES = st.lists(st.tuples(TOOL, ACTION).map(".".join), max_size=20)


@given(NAMES)
def test_every_tool_gets_a_name_of_its_own_that_the_api_accepts_and_that_leads_back(tools: list[str]) -> None:
    names = FunctionNames.of(tools)
    functions = {names.function(tool) for tool in tools}
    assert len(functions) == len(set(tools))
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", function) for function in functions)
    assert all(names.tool(names.function(tool)) == tool for tool in tools)


@given(NAMES, st.randoms())
def test_names_depend_on_the_set_of_tools_alone(tools: list[str], random: "Shuffler") -> None:
    shuffled = [*tools, *tools[:3]]
    random.shuffle(shuffled)
    assert all(
        FunctionNames.of(tools).function(tool) == FunctionNames.of(shuffled).function(tool) for tool in tools
    )


class Shuffler:
    shuffle: Callable[[list[str]], None]


def test_a_plain_name_stays_readable() -> None:
    assert FunctionNames.of(["crm.get_contact"]).function("crm.get_contact") == "crm__get_contact"


@pytest.mark.parametrize(
    ("function", "tool"),
    [
        ("crm__export_contacts", "crm.export_contacts"),
        ("crm.export_contacts", "crm.export_contacts"),
        ("odd", "odd"),
    ],
)
def test_a_name_that_was_never_offered_is_read_all_the_same(function: str, tool: str) -> None:
    assert FunctionNames.of(["crm.get_contact"]).tool(function) == tool


def test_a_name_with_other_characters_ends_in_a_digest() -> None:
    names = FunctionNames.of(["files.read/all.txt"])
    assert re.fullmatch(r"files_read_all_txt-[0-9a-f]{8}", names.function("files.read/all.txt"))


def test_a_long_name_is_cut_and_ends_in_a_digest() -> None:
    names = FunctionNames.of(["crm." + "x" * 100])
    assert len(names.function("crm." + "x" * 100)) == 64


def test_a_digest_never_takes_the_place_of_a_readable_name() -> None:
    odd = "files.read/all"
    taken = FunctionNames.of([odd]).function(odd)
    names = FunctionNames.of([odd, taken])
    assert names.function(taken) == taken
    assert names.tool(names.function(odd)) == odd
