import hashlib
import hmac

import pytest

from aos.gateway.approvals.sampling import PARTS, KeyedSampler, draw, is_drawn
from aos.policy.approvals import BoundQuorum

KEY = bytes(range(32))
CALLS = [f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}" for number in range(20_000)]


def quorum(percent: int) -> BoundQuorum:
    return BoundQuorum("Policy sales-baseline, approval spot-check", 1, sample_percent=percent)


def sampler(key: bytes = KEY) -> KeyedSampler:
    made = KeyedSampler()
    made.use(key)
    return made


@pytest.mark.parametrize("percent", [1, 10, 50, 90, 99])
def test_a_sample_has_the_share_of_calls_that_it_says(percent: int) -> None:
    drawn = sum(is_drawn(KEY, call, percent) for call in CALLS)
    share = percent / 100
    tolerance = 4 * (len(CALLS) * share * (1 - share)) ** 0.5
    assert abs(drawn - len(CALLS) * share) < tolerance


def test_who_has_the_key_repeats_every_draw_with_nothing_but_a_hash() -> None:
    for call in CALLS[:100]:
        digest = hmac.new(KEY, call.encode(), hashlib.sha256).hexdigest()
        assert draw(KEY, call) == int(digest[:16], 16) % PARTS
        assert is_drawn(KEY, call, 10) == (int(digest[:16], 16) % 10_000 < 1000)


def test_who_has_another_key_foresees_nothing() -> None:
    ours = [is_drawn(KEY, call, 50) for call in CALLS]
    theirs = [is_drawn(bytes(32), call, 50) for call in CALLS]
    same = sum(one is other for one, other in zip(ours, theirs, strict=True))
    assert abs(same - len(CALLS) / 2) < 4 * (len(CALLS) / 4) ** 0.5


def test_a_call_in_a_sample_is_in_every_larger_one() -> None:
    for call in CALLS[:500]:
        drawn = [is_drawn(KEY, call, percent) for percent in range(1, 101)]
        assert drawn == sorted(drawn)
        assert drawn[-1]


def test_every_replica_and_every_restart_draws_the_same() -> None:
    one, other = sampler(), sampler()
    assert [one.draws(call, quorum(10)) for call in CALLS[:500]] == [
        other.draws(call, quorum(10)) for call in CALLS[:500]
    ]


def test_without_a_key_every_call_is_in_the_sample() -> None:
    assert all(KeyedSampler().draws(call, quorum(1)) for call in CALLS[:500])


def test_what_is_always_asked_for_is_not_drawn() -> None:
    assert all(sampler().draws(call, quorum(100)) for call in CALLS[:500])


def test_a_short_key_is_refused_and_the_last_one_stays() -> None:
    made = sampler()
    before = [made.draws(call, quorum(10)) for call in CALLS[:200]]
    with pytest.raises(ValueError, match="at least 32 bytes"):
        made.use(b"short")
    assert [made.draws(call, quorum(10)) for call in CALLS[:200]] == before
    assert not all(before)
