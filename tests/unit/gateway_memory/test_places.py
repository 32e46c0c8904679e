from aos.gateway.control.records import system_of
from aos.gateway.memory.places import key_of, owner_of, system_of_memory
from tests.unit.gateway_mcp.make import in_run, task
from tests.unit.gateway_memory.world import memory_tool


def test_a_value_of_a_run_is_the_first_runs() -> None:
    tool, step = memory_tool(), task(run={**in_run(), "uid": "sub-uid", "rootUID": "root-uid"})
    assert owner_of(tool, step) == "root-uid"
    assert key_of(tool, step) == "uid-notes/run/root-uid"


def test_a_value_of_a_namespace_has_no_owner() -> None:
    tool = memory_tool(scope="Namespace")
    assert (owner_of(tool, task()), key_of(tool, task())) == ("", "uid-notes/namespace")


def test_no_two_values_are_one_system() -> None:
    named = [
        system_of_memory(tool, work)
        for tool in (memory_tool(), memory_tool("other"), memory_tool(namespace="support"))
        for work in (task(), task("t2", "uid-2"))
    ]
    named.append(system_of_memory(memory_tool(scope="Namespace"), task()))
    assert len({system_of(name) for name in named}) == len(named)
