"""How a run may go on: whether anything is started, and what becomes of what is open."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """How a run may go on.

    Attributes:
        ending: the reason with which it is going to end; empty while it goes on. No further step or attempt is started then.
        cuts: whether what is open is cancelled.
        is_suspended: whether nothing may be started for now.
    """

    ending: str = ""
    cuts: bool = False
    is_suspended: bool = False

    @property
    def may_start(self) -> bool:
        """Whether anything may be started."""
        return not self.ending and not self.is_suspended
