"""What is plugged into the desk: which samples hold a call, and what people are shown of what it would change."""

from typing import Final, Protocol

from aos.gateway.approvals.held import HeldCall
from aos.model.approval_request import Preview
from aos.policy.approvals import ALWAYS, BoundQuorum


class Sampler(Protocol):
    """Draws which calls a sampled quorum is about."""

    def draws(self, subject: str, quorum: BoundQuorum) -> bool:
        """Whether the call is in the sample; the same answer each time.

        Args:
            subject: what identifies the call: its identity before it is made, its identifier in the audit trail after.
            quorum: one with a ``sample_percent`` below 100.
        """


class Previewer(Protocol):
    """Finds out what a Write would change."""

    async def preview(self, held: HeldCall) -> Preview | None:
        """Return what to show people beside the arguments; None where nothing can be shown.

        It is asked once for each request, before that is made, and must be done in a few seconds. It raises nothing.
        """


class _Every:
    def draws(self, subject: str, quorum: BoundQuorum) -> bool:
        del subject, quorum
        return True


class _Nothing:
    async def preview(self, held: HeldCall) -> Preview | None:
        del held
        return None


EVERY_CALL: Final[Sampler] = _Every()
"""Every call is in every sample."""
NO_PREVIEW: Final[Previewer] = _Nothing()
"""Nothing is shown beside the arguments."""


def drawn(quorums: tuple[BoundQuorum, ...], subject: str, sampler: Sampler) -> tuple[BoundQuorum, ...]:
    """Return those of ``quorums`` that are about the call: all that always are, and those whose sample it is in."""
    return tuple(
        quorum for quorum in quorums if quorum.sample_percent >= ALWAYS or sampler.draws(subject, quorum)
    )
