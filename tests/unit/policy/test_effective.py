from hashlib import sha256
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.model.bounds import Loops
from aos.model.cluster_policy import ClusterPolicy
from aos.model.policy import Policy
from aos.model.tool import Tool
from aos.policy.decision import decide
from aos.policy.effective import EffectivePolicy, compile_rules, tool_problems
from aos.policy.merging import AnyPolicy
from tests.unit.policy.make import Raw, agent, call, cluster_policy, merged, policy, rule, tool

ACTIONS = ("get_contact", "search_contacts", "update_contact", "export_contacts")

conditions = st.sampled_from(["", "true", "false", "args.x == 1", "args.missing == 1"])
rules = st.builds(
    rule,
    name=st.sampled_from(["a", "b", "c", "d", "e", "f"]),
    effect=st.sampled_from(["Allow", "Deny"]),
    tool_name=st.sampled_from(["crm", "*", "erp"]),
    actions=st.lists(st.sampled_from([*ACTIONS, "*", "get_*"]), max_size=2),
    access=st.lists(st.sampled_from(["Read", "Write"]), max_size=2, unique=True),
    when=conditions,
)
rule_lists = st.lists(rules, min_size=1, max_size=5, unique_by=lambda item: str(item["name"]))


@st.composite
def both_layers(draw: st.DrawFn) -> list[AnyPolicy]:
    found: list[AnyPolicy] = [*draw(policy_lists)]
    for index, items in enumerate(draw(st.lists(rule_lists, max_size=2))):
        found.append(cluster_policy(*items, name=f"c{index}"))
    return found


def named(lists: list[list[dict[str, JsonValue]]]) -> list[Policy]:
    return [policy(*items, name=f"p{index}") for index, items in enumerate(lists)]


policy_lists: st.SearchStrategy[list[Policy]] = st.lists(rule_lists, max_size=4).map(named)


def allowed(effective: EffectivePolicy) -> set[str]:
    return {action for action in ACTIONS if decide(effective, call(action, {"x": 1})).allowed}


@given(policy_lists, st.randoms())
def test_merging_does_not_depend_on_order(policies: list[Policy], random: object) -> None:
    shuffled = sorted(policies, key=lambda item: hash((id(random), item.metadata.name)))
    assert merged(*policies).digest == merged(*shuffled).digest


@given(policy_lists)
def test_merging_twice_changes_nothing(policies: list[Policy]) -> None:
    first, second = merged(*policies), merged(*policies)
    assert first.digest == second.digest
    assert allowed(first) == allowed(second)


@given(policy_lists, rule_lists)
def test_adding_a_deny_never_allows_more(policies: list[Policy], added: list[Raw]) -> None:
    denying = policy(*[{**item, "effect": "Deny"} for item in added], name="extra")
    assert allowed(merged(*policies, denying)) <= allowed(merged(*policies))


@given(policy_lists, rule_lists)
def test_adding_an_allow_never_lifts_a_deny(policies: list[Policy], added: list[Raw]) -> None:
    allowing = policy(*[{**item, "effect": "Allow"} for item in added], name="extra")
    before, after = merged(*policies), merged(*policies, allowing)
    for action in ACTIONS:
        if decide(before, call(action, {"x": 1})).reason == "DeniedByRule":
            assert not decide(after, call(action, {"x": 1})).allowed


@given(policy_lists)
def test_removing_every_allow_denies_everything(policies: list[Policy]) -> None:
    kept = [
        policy(*[item.model_dump(by_alias=True) for item in one.spec.rules if item.effect == "Deny"], name=one.metadata.name)
        for one in policies
        if any(item.effect == "Deny" for item in one.spec.rules)
    ]  # fmt: skip
    assert allowed(merged(*kept)) == set()


def test_what_bears_on_calls_is_in_the_digest() -> None:
    base = policy(rule("a"))
    variants = [
        merged(base),
        merged(policy(rule("a", when="true"))),
        merged(policy(rule("a", "Deny"))),
        merged(policy(rule("b"))),
        merged(policy(rule("a"), name="other")),
        merged(base, of=agent(labels={"role": "other"})),
        merged(base, of=agent(suspend=True)),
        merged(base, of=agent(model={"name": "default"})),
        merged(base, of=agent(delegates=["writer"])),
        merged(base, tools=[]),
        merged(base, unreadable=["broken"]),
        merged(),
    ]
    digests = [variant.digest for variant in variants]
    assert all(first != second for first, second in pairwise(sorted(digests)))


def test_a_tool_that_is_not_asked_for_is_not_in_the_digest() -> None:
    base = policy(rule("a"))
    assert merged(base).digest == merged(base, tools=[tool(), tool("erp")]).digest


def test_sources_name_each_policy_with_its_generation() -> None:
    effective = merged(policy(rule("a"), name="b"), policy(rule("a"), name="a"))
    assert [(source.kind, source.name, source.generation) for source in effective.sources] == [
        ("Policy", "a", 3),
        ("Policy", "b", 3),
    ]


def test_names_that_do_not_exist_are_judged_and_not_remembered() -> None:
    effective = merged(policy(rule("a")))
    assert effective.asks_for("crm", "made_up")
    assert ("crm", "made_up") not in effective._requested
    assert effective.asks_for("crm", "get_contact")
    assert ("crm", "get_contact") in effective._requested


def test_the_digest_is_that_of_the_document() -> None:
    effective = merged(policy(rule("reads")))
    assert effective.digest == "sha256:" + sha256(effective.document()).hexdigest()


def test_a_schema_that_canonical_json_can_not_carry_is_in_the_digest_all_the_same() -> None:
    def notes(most: int) -> Tool:
        memory = {"scope": "Namespace", "schema": {"type": "integer", "maximum": most}}
        return Tool.parse(
            {
                "metadata": {"name": "notes", "namespace": "sales"},
                "spec": {
                    "type": "Memory",
                    "memory": memory,
                    "actions": [{"name": "get", "access": "Read", "risk": "Low"}],
                },
            }
        )

    asks = agent(tools=[{"name": "notes", "actions": ["get"]}])
    digests = {merged(policy(rule("a")), of=asks, tools=[notes(2**60 + one)]).digest for one in (0, 1)}
    assert len(digests) == 2


@given(both_layers(), st.randoms())
def test_merging_both_layers_does_not_depend_on_order_or_on_repetition(
    policies: list[AnyPolicy], random: object
) -> None:
    shuffled = sorted(policies, key=lambda item: hash((id(random), item.metadata.name)))
    assert merged(*policies).digest == merged(*shuffled).digest == merged(*policies, *shuffled).digest


@given(both_layers(), rule_lists)
def test_attack_31_adding_a_cluster_policy_never_allows_more(
    policies: list[AnyPolicy], added: list[Raw]
) -> None:
    ceiling = cluster_policy(*added, name="extra")
    lower = [item for item in policies if isinstance(item, Policy)]
    assert allowed(merged(*lower, ceiling)) <= allowed(merged(*lower))
    assert allowed(merged(*policies, cluster_policy(*added, rule("zz", "Deny"), name="extra"))) == set()


@given(both_layers(), rule_lists)
def test_adding_a_deny_to_either_layer_never_allows_more(policies: list[AnyPolicy], added: list[Raw]) -> None:
    denying = [{**item, "effect": "Deny"} for item in added]
    before = allowed(merged(*policies))
    assert allowed(merged(*policies, policy(*denying, name="extra"))) <= before
    if any(isinstance(item, ClusterPolicy) for item in policies):
        assert allowed(merged(*policies, cluster_policy(*denying, name="extra"))) <= before


@given(both_layers(), rule_lists)
def test_attack_31_adding_an_allow_to_either_layer_never_lifts_a_deny(
    policies: list[AnyPolicy], added: list[Raw]
) -> None:
    allowing = [{**item, "effect": "Allow"} for item in added]
    before = merged(*policies)
    for extra in (policy(*allowing, name="extra"), cluster_policy(*allowing, name="extra")):
        after = merged(*policies, extra)
        for action in ACTIONS:
            if decide(before, call(action, {"x": 1})).reason == "DeniedByRule":
                assert not decide(after, call(action, {"x": 1})).allowed


@given(both_layers())
def test_bounds_allow_nothing_and_forbid_nothing_by_themselves(policies: list[AnyPolicy]) -> None:
    bounded = [
        item.model_copy(update={"spec": item.spec.model_copy(update={"loops": Loops(max_depth=1)})})
        for item in policies
    ]
    assert allowed(merged(*bounded)) == allowed(merged(*policies))


def test_bounds_and_cluster_policies_are_in_the_digest() -> None:
    base = policy(rule("a"))
    limit: JsonValue = [{"name": "l", "calls": 1, "per": "1m"}]
    other_limit: JsonValue = [{"name": "l", "calls": 2, "per": "1m"}]
    variants = [
        merged(base),
        merged(base, cluster_policy(rule("a"))),
        merged(base, cluster_policy(rule("a"), name="other")),
        merged(base, cluster_policy(rule("a"), limits=limit)),
        merged(policy(rule("a"), limits=limit)),
        merged(policy(rule("a"), limits=other_limit)),
        merged(policy(rule("a"), budgets=[{"name": "b", "calls": 1, "per": "1m"}])),
        merged(policy(rule("a"), data={"redact": ["pii"]})),
        merged(policy(rule("a"), data={"redact": ["pii"], "in": ["Request"]})),
        merged(policy(rule("a"), loops={"maxDepth": 1})),
        merged(policy(rule("a"), conflicts={"leaseSeconds": 1})),
        merged(policy(rule("a", risk=["Low"]))),
        merged(base, tools=[tool(record="a/${args.id}")]),
        merged(base, unreadable_cluster=["x"]),
    ]
    assert len({variant.digest for variant in variants}) == len(variants)
    unselected = cluster_policy(rule("a"), namespaces={"aos.dev/environment": "prod"})
    assert merged(base, unselected).digest == merged(base).digest


def test_sources_name_cluster_policies_first() -> None:
    sources = merged(policy(rule("a")), cluster_policy(rule("a"))).sources
    assert [(item.kind, item.name, item.generation) for item in sources] == [
        ("ClusterPolicy", "floor", 5),
        ("Policy", "baseline", 3),
    ]


def test_obligations_are_merged_once_per_action() -> None:
    effective = merged(
        policy(rule("a")),
        cluster_policy(rule("a"), loops={"maxDepth": 3}),
        tools=[tool(record="c/${args.id}")],
    )
    update = effective.action("crm", "update_contact")
    read = effective.action("crm", "get_contact")
    assert update is not None
    assert read is not None
    held = effective.obligations("crm", update)
    assert held is effective.obligations("crm", update)
    assert held.record is not None
    assert held.record.render({"id": 1}) == "c/1"
    assert held.loops.max_depth == 3
    assert effective.obligations("crm", read).record is None


def test_models_and_handoffs_are_held_to_what_is_not_for_certain_tools() -> None:
    tools: JsonValue = [{"name": "crm"}]
    effective = merged(
        policy(
            rule("a"),
            limits=[
                {"name": "all", "calls": 1, "per": "1m"},
                {"name": "crm", "calls": 1, "per": "1m", "tools": tools},
            ],
            data={"block": ["secret"], "projections": [{"tools": tools, "fields": ["id"]}]},
        )
    )
    for held in (effective.model_obligations(), effective.handoff_obligations()):
        assert [item.limit.name for item in held.limits] == ["all"]
        assert held.data.block_request == {"secret"}
        assert held.data.projections == frozenset()
        assert held.record is None


def test_each_broken_action_of_a_tool_is_told() -> None:
    problems = tool_problems(tool(record="${args.}"))
    assert list(problems) == ["update_contact"]
    assert str(problems["update_contact"]).startswith(
        "Tool crm: spec.actions[update_contact].record: in ${...}"
    )
    assert tool_problems(tool(record="c/${args.id}")) == {}


def test_a_preview_whose_arguments_can_not_be_filled_in_is_told() -> None:
    filled: dict[str, JsonValue] = {"id": "${args.id}", "of": "${args.}"}
    previewed: dict[str, JsonValue] = {"action": "get_contact", "arguments": filled}
    problems = tool_problems(tool(preview=previewed))
    assert str(problems["update_contact"]).startswith(
        "Tool crm: spec.actions[update_contact].preview.arguments[of]: in ${...}"
    )
    assert tool_problems(tool(preview={"action": "get_contact"})) == {}


def test_every_problem_of_a_policy_is_told_with_its_place() -> None:
    broken = policy(
        rule("a", when="1 +"),
        rule("b"),
        data={
            "block": ["x", "y"],
            "patterns": [{"name": "x", "regex": "a*"}, {"name": "y", "regex": "y+"}],
        },
    )
    rules, problems = compile_rules(broken)
    assert [compiled.reference.rule for compiled in rules] == ["b"]
    assert [str(problem).split(": ", 2)[:2] for problem in problems] == [
        ["Policy baseline", "spec.rules[a].when"],
        ["Policy baseline", "spec.data.patterns[x].regex"],
    ]
