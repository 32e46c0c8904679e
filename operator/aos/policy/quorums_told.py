"""Quorums in words, for the people who are asked and for those who ask why."""

from collections.abc import Iterator, Sequence
from typing import Final

from aos.model.approval import Approvers
from aos.policy.approvals import ALWAYS, BoundQuorum

_UNITS: Final = ((3_600, "h"), (60, "m"), (1, "s"))


def told_quorums(quorums: Sequence[BoundQuorum]) -> str:
    """Return how many must approve, for which rule, and who may: part of a sentence."""
    return " and ".join(
        f"{counted(quorum.required)} ({quorum.rule}: {told_approvers(quorum.approvers)})"
        for quorum in quorums
    )


def told_quorum(quorum: BoundQuorum) -> str:
    """Return all that a quorum says but its rule."""
    return "; ".join(_parts(quorum))


def told_approvers(approvers: Approvers) -> str:
    """Return who may approve."""
    named = [
        f"{what} {name}"
        for what, names in (("group", approvers.groups), ("user", approvers.users))
        for name in names
    ]
    if not named:
        # Service accounts come on top of people, and never instead of them.
        named.append("anybody who may approve it")
    named += [f"service account {name}" for name in approvers.service_accounts]
    return " or ".join(named)


def counted(required: int) -> str:
    """Return how many approvals: ``1 approval``, ``2 approvals``."""
    return "1 approval" if required == 1 else f"{required} approvals"


def told_seconds(seconds: int) -> str:
    """Return a time span in the largest unit that it is a whole number of."""
    size, unit = next(item for item in _UNITS if seconds % item[0] == 0)
    return f"{seconds // size}{unit}"


def _parts(quorum: BoundQuorum) -> Iterator[str]:
    sample = f", of {quorum.sample_percent} % of such calls" if quorum.sample_percent < ALWAYS else ""
    yield (
        f"{counted(quorum.required)} by {told_approvers(quorum.approvers)}"
        f" within {told_seconds(quorum.timeout_seconds)}{sample}"
    )
    if quorum.remind_after_seconds is not None:
        yield f"told again after {told_seconds(quorum.remind_after_seconds)}"
    if quorum.escalation is not None:
        others = told_approvers(quorum.escalation.approvers)
        yield f"{others} too after {told_seconds(quorum.escalation.after_seconds)}"
