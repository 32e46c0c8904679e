import pytest

from aos.reconcile.observed_pod import ObservedNode
from aos.reconcile.users import handlers_with_own_users

DEFAULT = ""


def node(*handlers: str, able: tuple[str, ...] = (), takes_agents: bool = True) -> ObservedNode:
    return ObservedNode(
        "one",
        is_ready=True,
        since=None,
        takes_agents=takes_agents,
        handlers=frozenset((*handlers, *able)),
        user_namespaces=frozenset(able),
    )


@pytest.mark.parametrize(
    ("nodes", "able"),
    [
        pytest.param([], set(), id="no node"),
        pytest.param([node(able=(DEFAULT,))], {DEFAULT}, id="one that can"),
        pytest.param([node(DEFAULT)], set(), id="one that can not"),
        pytest.param([node(able=(DEFAULT,)), node(DEFAULT)], set(), id="one of two"),
        pytest.param([node(able=(DEFAULT,)), node()], set(), id="one that does not tell"),
        pytest.param(
            [node(able=(DEFAULT,)), node(DEFAULT, takes_agents=False)],
            {DEFAULT},
            id="one that takes no agents",
        ),
        pytest.param([node(takes_agents=False, able=(DEFAULT,))], set(), id="none that takes agents"),
        pytest.param([node("gvisor", able=(DEFAULT,))], {DEFAULT}, id="another runtime of the node can not"),
        pytest.param(
            [node(able=(DEFAULT,)), node(able=(DEFAULT, "gvisor"))],
            {DEFAULT, "gvisor"},
            id="a runtime that not every node has",
        ),
        pytest.param(
            [node("gvisor", able=(DEFAULT,)), node(able=(DEFAULT, "gvisor"))],
            {DEFAULT},
            id="a runtime that can on one node alone",
        ),
    ],
)
def test_a_runtime_can_give_users_if_it_can_wherever_it_is(nodes: list[ObservedNode], able: set[str]) -> None:
    assert handlers_with_own_users(nodes) == able
