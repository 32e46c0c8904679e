from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from aos.policy.decision import decide, may_ever
from aos.policy.effective import effective_policy
from tests.unit.policy.generated import a_call, a_world


@settings(max_examples=100)
@given(st.randoms(use_true_random=False))
def test_a_decision_is_what_the_slow_and_obvious_reference_says(random: Random) -> None:
    world = a_world(random)
    policy = effective_policy(world.inputs())
    for _ in range(10):
        call = a_call(random)
        allowed = decide(policy, call).allowed
        expected = world.reference_allows(call)
        assert expected or not allowed
        # A text with U+0000 fails every condition on arguments; else the two agree both ways.
        assert allowed is expected or "\\x00" in repr(call.arguments)
        assert may_ever(policy, call.tool, call.action) or not allowed


def test_the_generated_calls_are_allowed_and_denied_in_turn() -> None:
    random = Random(1)  # noqa: S311 - a test that is the same each time
    seen = set()
    for _ in range(100):
        world = a_world(random)
        seen |= {world.reference_allows(a_call(random)) for _ in range(10)}
    assert seen == {True, False}
