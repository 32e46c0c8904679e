from dataclasses import replace

import pytest

from aos.audit.anchors import MOST_CHAINS, MOST_EARLIER, Anchors
from aos.audit.head import ChainHead
from aos.audit.signing import HeadError, HeadSigner, SignedHead

SIGNER = HeadSigner()


def signed(sequence: int, chain: str = "gateway-1", signer: HeadSigner = SIGNER) -> SignedHead:
    time = f"2026-01-02T03:{sequence // 60:02}:{sequence % 60:02}.000000Z"
    return signer.sign(ChainHead(chain, sequence, f"{sequence:064}", time))


def test_the_newest_head_of_each_chain_is_kept_and_the_earlier_ones_behind_it() -> None:
    anchors = Anchors().with_heads([signed(1), signed(3), signed(2, "gateway-2")]).with_heads([signed(5)])
    assert anchors.newest == (signed(5), signed(2, "gateway-2"))
    assert anchors.earlier == (signed(3), signed(1))
    assert len(anchors.all()) == 4


@pytest.mark.parametrize(
    "head",
    [
        signed(3),
        signed(2),
        signed(9, signer=HeadSigner()),
        replace(signed(9), signature=signed(8).signature),
    ],
    ids=["again", "behind", "another key", "not genuine"],
)
def test_a_head_that_does_not_follow_is_left_out(head: SignedHead) -> None:
    anchors = Anchors().with_heads([signed(3)])
    assert anchors.with_heads([head]) == anchors


def test_their_number_is_bounded() -> None:
    anchors = Anchors().with_heads(signed(number, f"chain-{number}") for number in range(1, MOST_CHAINS + 3))
    assert len(anchors.newest) == MOST_CHAINS
    assert anchors.newest[0].head.sequence == MOST_CHAINS + 2
    anchors = Anchors().with_heads(signed(number) for number in range(1, MOST_EARLIER + 5))
    assert len(anchors.earlier) == MOST_EARLIER
    newest, earlier = anchors.texts()
    assert len(newest) + len(earlier) < 200_000


def test_a_full_set_fits_into_a_config_map() -> None:
    name = "c" * 253
    one = len(signed(1, name).encode()) + 1
    assert one * (MOST_CHAINS + MOST_EARLIER) < 1_000_000


def test_anchors_survive_their_text() -> None:
    anchors = Anchors().with_heads([signed(1), signed(2)])
    assert Anchors.parse(*anchors.texts()) == anchors
    assert Anchors.parse("", "") == Anchors()


def test_damaged_anchors_are_an_error() -> None:
    with pytest.raises(HeadError, match="the anchors are damaged"):
        Anchors.parse("nonsense\n", "")
