"""Which runtimes can give a pod users of its own wherever it may land, from what the nodes tell. No I/O."""

from collections.abc import Iterable

from aos.reconcile.observed_pod import ObservedNode


def handlers_with_own_users(nodes: Iterable[ObservedNode]) -> frozenset[str]:
    """Return the runtime handlers that can do it on every node that has them and takes agents.

    The scheduler does not look at this ability, so one node that lacks it is enough to refuse. So is a node that does not tell
    of its handlers (kubelets before 1.30): it may have any of them. Without a node nothing can be said, and nothing is returned.
    """
    able: set[str] = set()
    unable: set[str] = set()
    for node in nodes:
        if not node.takes_agents:
            continue
        if not node.handlers:
            return frozenset()
        able |= node.user_namespaces
        unable |= node.handlers - node.user_namespaces
    return frozenset(able - unable)
