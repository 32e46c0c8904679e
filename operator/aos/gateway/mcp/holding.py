"""Between judging a call and the store: a call that waits for people goes no further before they approved it."""

from dataclasses import dataclass, replace

from aos.gateway.approvals.desk import ApprovalDesk
from aos.gateway.approvals.held import HeldCall, Released, identity_of
from aos.gateway.approvals.reviews import Review, ReviewDesk
from aos.gateway.approvals.standing import stale
from aos.gateway.control.asked import AskedCall
from aos.gateway.control.control import CallControl, new_call
from aos.gateway.control.records import RecordUnknownError, lease_request, record_name
from aos.gateway.control.verdicts import record_unknown
from aos.gateway.mcp.catalogue import Catalogue
from aos.gateway.mcp.judging import Cleared, ToolCall
from aos.gateway.refusal import RefusalCode, Refused
from aos.policy.decision import DecisionReason, Effect


@dataclass(frozen=True, slots=True)
class Approved:
    """The held call that people approved, and their approval."""

    held: HeldCall
    by: Released


@dataclass(frozen=True, slots=True)
class Passed:
    """A call that may go to the store: it needed no people, or they approved it.

    Attributes:
        cleared: what was judged.
        asked: the call, as the store is asked for it.
        approved: how people let it through.
        review: how people are to look at it afterwards.
    """

    cleared: Cleared
    asked: AskedCall
    approved: Approved | None = None
    review: Review | None = None


class Gate:
    """Holds calls, and lets them through."""

    def __init__(
        self, desk: ApprovalDesk, reviews: ReviewDesk, calls: CallControl, catalogue: Catalogue
    ) -> None:
        self._desk = desk
        self._reviews = reviews
        self._calls = calls
        self._catalogue = catalogue

    async def let(self, call: ToolCall, cleared: Cleared, asked: AskedCall) -> Passed | Refused:
        """Return the call as it may go on; or why it may not, which is on record then.

        Raises:
            ClientDisconnected: the client went away while people were waited for.
        """
        passed = (
            await self._released(call, cleared, asked) if cleared.decision.before else Passed(cleared, asked)
        )
        if isinstance(passed, Refused) or not cleared.decision.after:
            return passed
        return self._drawn(passed)

    async def _released(self, call: ToolCall, cleared: Cleared, asked: AskedCall) -> Passed | Refused:
        """Return the call if it needs no people, or they approved it."""
        asked = replace(asked, identity=identity_of(asked, cleared.action.digest))
        quorums = self._desk.quorums(cleared.decision, asked.identity)
        if not quorums:
            return Passed(cleared, asked)
        asked = replace(asked, quorums=tuple(quorum.rule for quorum in quorums))
        try:
            lease, name = lease_request(asked), record_name(asked)
        except RecordUnknownError as error:
            refused = record_unknown(asked, str(error))
            self._calls.refuse(asked, refused)
            return refused
        barred = self._calls.barred(asked)
        if barred is not None:
            return barred
        held = self._desk.current(
            HeldCall(
                asked,
                cleared.action.declared,
                cleared.action.digest,
                quorums,
                lease.record if lease else "",
                name,
            )
        )
        found = await self._desk.release(held, call.waiting)
        if isinstance(found, Released) and not self._is_offered(call, cleared):
            found = stale(held, "the action is not offered any more as it was")
        if isinstance(found, Refused):
            self._refuse(held, found)
            return found
        decision = replace(cleared.decision, effect=Effect.ALLOW, reason=DecisionReason.ALLOWED)
        return Passed(replace(cleared, decision=decision), found.call(asked), Approved(held, found))

    def _drawn(self, passed: Passed) -> Passed | Refused:
        """Return the call with the review that it was drawn for; or why it can't be reviewed, which is on record then."""
        action, caller = passed.cleared.action, passed.asked.caller
        asked = replace(passed.asked, call=new_call())
        drawn = self._reviews.drawn(caller.namespace, caller.agent, passed.cleared.decision.after, asked.call)
        if not drawn:
            return replace(passed, asked=asked)
        try:
            name = record_name(asked)
        except RecordUnknownError:
            # The store is not asked for such a call.
            return replace(passed, asked=asked)
        quorums = tuple(item.quorum for item in drawn)
        review = Review(
            HeldCall(asked, action.declared, action.digest, quorums, record_name=name), asked.call
        )
        asked = replace(asked, quorums=(*asked.quorums, *(str(item) for item in drawn)))
        barred = self._reviews.barred(review)
        if barred is not None:
            self._calls.refuse(asked, barred)
            return barred
        return replace(passed, asked=replace(asked, approvals=(*asked.approvals, review.name)), review=review)

    async def confirm(self, passed: Passed, call: str) -> Refused | None:
        """Return why a call that the store let through must not be made all the same; None if it may."""
        approved, refused = passed.approved, None
        if approved is not None:
            refused = await self._desk.confirm(approved.held, approved.by, call)
        if refused is None and passed.review is not None:
            refused = await self._reviews.ask(passed.review)
        return refused

    async def explained(self, passed: Passed, refused: Refused) -> Refused:
        """Return the store's refusal; of an approval that was used, with what came of its call."""
        if passed.approved is None or refused.reason is not RefusalCode.APPROVAL_USED:
            return refused
        return await self._desk.use(passed.approved.held, passed.approved.by, refused)

    def ended(self, passed: Passed, call: str, outcome: str, *, made: bool) -> None:
        """Note what came of the call, and whether it was made or may have been."""
        if passed.approved is not None and made:
            self._desk.made(passed.approved.held, passed.approved.by, call)
        if passed.review is not None:
            self._reviews.ended(passed.review, outcome, made=made)

    def _is_offered(self, call: ToolCall, cleared: Cleared) -> bool:
        """Whether the tool still offers the action as it did when the call was judged."""
        listing = self._catalogue.listing(cleared.tool)
        action = None if listing is None else listing.actions.get(call.action)
        return action is not None and action.digest == cleared.action.digest

    def _refuse(self, held: HeldCall, refused: Refused) -> None:
        asked = replace(held.asked, approvals=(held.name,), approvers=refused.approvers)
        if self._desk.is_news(held, refused):
            self._calls.refuse(asked, refused)
        else:
            self._calls.refuse_again(asked, refused)
