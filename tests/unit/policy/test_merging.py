from collections.abc import Sequence
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, TypeAdapter

from aos.model.tool import ToolAction
from aos.policy.merging import AnyPolicy, narrowest, other_obligations, tool_obligations
from aos.policy.obligations import Obligations
from tests.unit.policy.make import cluster_policy, policy, rule, tool

GET, _, UPDATE, _ = tool().spec.actions

numbers = st.integers(1, 16)
scopes = st.sampled_from(["Agent", "Task", "Namespace"])
names = st.sampled_from(["a", "b"])
tools = st.sampled_from([[], [{"name": "crm"}], [{"name": "erp"}], [{"name": "*", "access": ["Write"]}]])
classes = st.lists(st.sampled_from(["pii", "phi", "secret", "payment"]), unique=True, max_size=3)


def optional(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries({}, optional=fields)


limits = st.lists(
    st.fixed_dictionaries(
        {"name": names, "calls": numbers, "per": st.sampled_from(["1s", "1500ms", "1h"]), "scope": scopes, "tools": tools}
    ),
    max_size=2,
    unique_by=lambda item: str(item["name"]),
)  # fmt: skip
budgets = st.lists(
    st.fixed_dictionaries({"name": names, "scope": st.just("Task"), "calls": numbers})
    | st.fixed_dictionaries({"name": names, "tokens": numbers, "per": st.just("24h")}),
    max_size=2,
    unique_by=lambda item: str(item["name"]),
)
data = optional(
    redact=classes,
    block=classes,
    projections=st.lists(
        st.fixed_dictionaries(
            {"tools": tools.filter(bool), "fields": st.lists(st.sampled_from(["id", "x.y"]), min_size=1, unique=True)}
        ),
        max_size=2,
    ),
    urls=st.fixed_dictionaries({"allowHosts": st.lists(st.sampled_from(["a.example", "*.b.example"]), min_size=1, unique=True)}),
    maxRequestBytes=st.integers(64, 70),
    maxResponseBytes=st.integers(64, 70),
    **{"in": st.lists(st.sampled_from(["Request", "Response"]), min_size=1, unique=True)},
)  # fmt: skip
bounds = optional(
    limits=limits,
    budgets=budgets,
    data=data,
    loops=optional(maxDepth=numbers, maxVisits=numbers, maxIdenticalCalls=numbers, maxCallsPerTask=numbers),
    conflicts=optional(leaseSeconds=numbers, duplicateWindowSeconds=numbers),
)


@st.composite
def policy_lists(draw: st.DrawFn) -> list[AnyPolicy]:
    found: list[AnyPolicy] = []
    for number, item in enumerate(draw(st.lists(bounds, max_size=4))):
        spec = TypeAdapter(dict[str, JsonValue]).validate_python(item)
        named = f"p{number}"
        if draw(st.booleans()):
            found.append(cluster_policy(rule("r"), name=named, namespaces=None, match_labels=None, **spec))
        else:
            found.append(policy(rule("r"), name=named, match_labels=None, **spec))
    return found


def held(policies: Sequence[AnyPolicy], action: ToolAction = UPDATE) -> Obligations:
    return tool_obligations(policies, "crm", action, None)


@given(policy_lists(), st.randoms())
def test_merging_does_not_depend_on_order(policies: list[AnyPolicy], random: object) -> None:
    shuffled = sorted(policies, key=lambda item: hash((id(random), item.metadata.name)))
    assert held(policies) == held(shuffled)
    assert other_obligations(policies) == other_obligations(shuffled)


@given(policy_lists())
def test_merging_twice_changes_nothing(policies: list[AnyPolicy]) -> None:
    assert held([*policies, *policies]) == held(policies)


@given(policy_lists(), policy_lists())
def test_another_policy_never_loosens_a_bound_that_was_said(
    policies: list[AnyPolicy], added: list[AnyPolicy]
) -> None:
    renamed = [
        item.model_copy(update={"metadata": item.metadata.model_copy(update={"name": f"x{place}"})})
        for place, item in enumerate(added)
    ]
    before, after = held(policies), held([*policies, *renamed])
    assert set(before.limits) <= set(after.limits)
    assert set(before.budgets) <= set(after.budgets)
    assert before.data.redact_request <= after.data.redact_request
    assert before.data.redact_response <= after.data.redact_response
    assert before.data.block_request <= after.data.block_request
    assert before.data.block_response <= after.data.block_response
    assert before.data.projections <= after.data.projections
    assert before.data.url_hosts <= after.data.url_hosts
    for old, new in (
        (before.data.max_request_bytes, after.data.max_request_bytes),
        (before.data.max_response_bytes, after.data.max_response_bytes),
    ):
        assert old is None or (new is not None and new <= old)
    if any(item.spec.loops and item.spec.loops.max_depth for item in policies):
        assert after.loops.max_depth <= before.loops.max_depth
    if any(item.spec.conflicts and item.spec.conflicts.lease_seconds for item in policies):
        assert after.conflicts.lease_seconds >= before.conflicts.lease_seconds


@given(policy_lists(), policy_lists(), policy_lists())
def test_narrowing_is_commutative_associative_and_idempotent(
    first: list[AnyPolicy], second: list[AnyPolicy], third: list[AnyPolicy]
) -> None:
    one, two, three = held(first), held(second), held(third)
    assert len({narrowest(*order) for order in permutations((one, two, three))}) == 1
    assert narrowest(narrowest(one, two), three) == narrowest(one, narrowest(two, three))
    assert narrowest(one, one) == one


def test_numbers_take_the_tightest_and_spans_the_longest() -> None:
    merged = held(
        [
            policy(rule("r"), name="a", loops={"maxDepth": 8}, conflicts={"leaseSeconds": 30}),
            cluster_policy(
                rule("r"), loops={"maxDepth": 6, "maxVisits": 1}, conflicts={"duplicateWindowSeconds": 5}
            ),
        ]
    )
    assert (merged.loops.max_depth, merged.loops.max_visits, merged.loops.max_identical_calls) == (6, 1, 10)
    assert (merged.conflicts.lease_seconds, merged.conflicts.duplicate_window_seconds) == (30, 5)


def test_limits_and_projections_of_certain_tools_hold_those_alone() -> None:
    writes: JsonValue = [{"name": "crm", "access": ["Write"]}]
    one = policy(
        rule("r"),
        limits=[{"name": "all", "calls": 1, "per": "1m"}, {"name": "writes", "calls": 1, "per": "1m", "tools": writes}],
        data={"projections": [{"tools": writes, "fields": ["id"]}]},
    )  # fmt: skip

    def names_of(found: Obligations) -> list[str]:
        return [item.limit.name for item in found.limits]

    assert names_of(held([one], UPDATE)) == ["all", "writes"]
    assert names_of(held([one], GET)) == ["all"]
    assert names_of(other_obligations([one])) == ["all"]
    assert held([one], UPDATE).data.projections == {frozenset({"id"})}
    assert held([one], GET).data.projections == other_obligations([one]).data.projections == frozenset()


def test_a_fraction_of_a_second_makes_a_window_longer() -> None:
    (limit,) = held([policy(rule("r"), limits=[{"name": "a", "calls": 1, "per": "1500ms"}])]).limits
    assert limit.window_seconds == 2
    (budget,) = held([policy(rule("r"), budgets=[{"name": "a", "calls": 1, "scope": "Task"}])]).budgets
    assert budget.window_seconds == 0


def test_parts_of_one_name_in_different_objects_are_counted_apart() -> None:
    limit: JsonValue = [{"name": "a", "calls": 1, "per": "1m"}]
    both = held(
        [policy(rule("r"), name="x", limits=limit), cluster_policy(rule("r"), name="x", limits=limit)]
    )
    assert [str(item.reference) for item in both.limits] == ["ClusterPolicy x, limit a", "Policy x, limit a"]


def test_patterns_of_all_policies_count_even_of_one_name() -> None:
    def with_pattern(name: str, regex: str) -> AnyPolicy:
        return policy(
            rule("r"), name=name, data={"block": ["id"], "patterns": [{"name": "id", "regex": regex}]}
        )

    found = held([with_pattern("a", "A[0-9]"), with_pattern("b", "B[0-9]")]).data
    assert {(item.name, item.regex) for item in found.patterns} == {("id", "A[0-9]"), ("id", "B[0-9]")}
    assert found.block_request == found.block_response == {"id"}
