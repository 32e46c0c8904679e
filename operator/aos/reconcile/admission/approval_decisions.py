"""Who decides on an ApprovalRequest: people, each for themselves, once, and never for what they asked for."""

from typing import Final

from aos.model.approval_request import RequestState, decisions_kept
from aos.model.names import GROUP
from aos.reconcile.admission.shape import ACCOUNT_PREFIX, AGENT_ACCOUNT, Check, Policy, Rule, Who

APPROVAL_DECISIONS: Final = "aos-approval-decisions"
APPROVE: Final = "approve"
"""The verb on approvalrequests that only people who may decide hold."""
_QUORUMS: Final = "dyn(oldObject).spec.quorums"
_APPROVERS: Final = (
    f"{_QUORUMS}.map(q, q.?approvers.orValue({{}}))"
    f" + {_QUORUMS}.map(q, q.?escalation.?approvers).filter(a, a.hasValue()).map(a, a.value())"
)
"""Those whom the request asks now, or will ask."""
_IS_ASKED: Final = (
    "variables.approvers.exists(a, variables.isAccount"
    " ? variables.account in a.?serviceAccounts.orValue([])"
    " : (size(a.?groups.orValue([])) == 0 && size(a.?users.orValue([])) == 0)"
    " || variables.me in a.?users.orValue([]) || a.?groups.orValue([]).exists(g, g in variables.mine))"
)
_OLD: Final = "oldObject.spec.?decisions.orValue([])"
_NEW: Final = "object.spec.?decisions.orValue([])"


def approval_decisions(who: Who) -> Policy:
    """Each change of spec.decisions adds one decision, and it is the caller's own, who may make it.

    Users are compared without regard to case where that refuses more: some sources of identities tell no cases apart.
    """
    return Policy(
        name=APPROVAL_DECISIONS,
        rules=(Rule(GROUP, "*", ("UPDATE",), ("approvalrequests",)),),
        # Controllers may still change metadata, whatever has become of the request.
        conditions=(("decides", f"{_NEW} != {_OLD}"),),
        variables=_variables(who),
        checks=(*_about_the_list(), *_about_the_caller(), *_about_the_quorums()),
    )


def _variables(who: Who) -> tuple[tuple[str, str], ...]:
    own = f"{who.operator.is_caller} || {who.gateway.is_caller}"
    return (
        ("old", _OLD),
        ("new", _NEW),
        ("me", "request.userInfo.username"),
        ("mine", "request.userInfo.?groups.orValue([])"),
        # Whatever is wrong with the list, the checks of its last entry find one.
        ("decision", "size(variables.new) > 0 ? dyn(variables.new[size(variables.new) - 1]) : dyn({})"),
        ("listed", "variables.decision.?groups.orValue([])"),
        ("isAccount", f"variables.me.startsWith('{ACCOUNT_PREFIX}')"),
        ("account", f"variables.isAccount ? variables.me.substring({len(ACCOUNT_PREFIX)}) : ''"),
        ("isAgent", f"variables.isAccount && variables.account.contains(':{AGENT_ACCOUNT}')"),
        ("isAOS", own),
        # Certificates of a cluster's administrator carry this one name of a person in some distributions.
        (
            "isMachine",
            "!variables.isAccount && variables.me.startsWith('system:') && variables.me != 'system:admin'",
        ),
        ("approvers", _APPROVERS),
        ("isAsked", _IS_ASKED),
        (
            "counting",
            "variables.mine.filter(g, variables.approvers.exists(a, g in a.?groups.orValue([])))",
        ),
    )


def _about_the_list() -> tuple[Check, ...]:
    """What was decided stays, one decision comes after it, and only while people are asked."""
    pending = RequestState.PENDING
    return (
        Check(
            decisions_kept("variables.new", "variables.old"),
            "decisions that stand are never changed, removed or moved: read the request again, and add yours as the last one",
        ),
        Check(
            "size(variables.new) <= size(variables.old) + 1",
            "each decision is its maker's own: add one, not several",
        ),
        Check(
            f"oldObject.?status.?state.orValue('{pending}') == '{pending}'",
            f"only a request that is {pending} can be decided",
            f"'this request is ' + oldObject.?status.?state.orValue('{pending}') + ': only one that is {pending} can be"
            " decided. If the call is still wanted, its agent asks anew'",
        ),
    )


def _about_the_caller() -> tuple[Check, ...]:
    """The caller decides in their own name, has not done so yet, did not ask for the work, and may approve."""
    own_request = "dyn(oldObject).spec.?requestedBy.orValue('')"
    return (
        Check(
            "variables.decision.?approver.orValue('') == variables.me",
            "approver must be your own user name; `kubectl auth whoami` tells it",
            "'approver must be your own user name, ' + variables.me",
        ),
        Check(
            "variables.old.all(d, d.approver.lowerAscii() != variables.me.lowerAscii())",
            "you have decided already; each approval must come from another person",
        ),
        Check(
            f"{own_request}.lowerAscii() != variables.me.lowerAscii()",
            "you asked for this work yourself: somebody else has to decide",
        ),
        Check(
            "!variables.isAgent && !variables.isAOS && !variables.isMachine",
            "agents, AOS itself and users named system:* never decide, whatever a policy names: a person has to",
        ),
        Check(
            f"authorizer.group('{GROUP}').resource('approvalrequests').namespace(request.namespace)"
            f".name(request.name).check('{APPROVE}').allowed()",
            "you may not decide here: ask for the verb approve on approvalrequests, which the role aos-approver has",
            f"'you may not decide here: ask for the verb {APPROVE} on approvalrequests in namespace ' + request.namespace"
            " + ', which the role aos-approver has'",
        ),
    )


def _about_the_quorums() -> tuple[Check, ...]:
    """The caller is among those who are asked, and says by which groups."""
    asked = (
        "'groups: ' + variables.approvers.map(a, a.?groups.orValue([]).join(', ')).filter(t, t != '').join(', ')"
        " + '; users: ' + variables.approvers.map(a, a.?users.orValue([]).join(', ')).filter(t, t != '').join(', ')"
    )
    return (
        Check(
            "variables.isAccount || variables.isAsked",
            "you are not among those whom this request asks; its quorums name them",
            f"'you are not among those whom this request asks. It asks ' + {asked}",
        ),
        Check(
            "!variables.isAccount || variables.isAsked",
            "a service account decides only where a quorum names it, as serviceAccounts: [NAMESPACE:NAME]; a person has to",
        ),
        Check(
            "variables.listed.all(g, g in variables.mine)",
            "groups may list only groups that you are in; `kubectl auth whoami` tells them",
            "'groups may list only groups that you are in; you are not in '"
            " + variables.listed.filter(g, !(g in variables.mine)).join(', ')",
        ),
        Check(
            "variables.isAccount || variables.approvers.all(a, a.?groups.orValue([]).all(g,"
            " !(g in variables.mine) || g in variables.listed))",
            "groups must list each of your groups that this request asks",
            "'groups must list each of your groups that this request asks: [' + variables.counting.join(', ') + ']'",
        ),
    )
