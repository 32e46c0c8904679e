import hashlib
from dataclasses import asdict

import pytest
import rfc8785
from pydantic import JsonValue

from aos.audit.chain import DamagedRowError, link, origin, read_row, row_hash
from aos.audit.codec import encode_event
from tests.unit.audit.make import EVENT


@pytest.mark.parametrize("chain", ["gateway-1", 'a "quoted" chain\n', "ünïcode"])
def test_a_hash_is_sha_256_over_rfc_8785_of_chain_event_previous_and_sequence(chain: str) -> None:
    said = {name: value for name, value in asdict(EVENT).items() if value}
    row: dict[str, JsonValue] = {
        "chain": chain,
        "sequence": 7,
        "previous": "ab",
        "event": {**said, "phase": "Outcome"},
    }
    assert row_hash(chain, 7, "ab", EVENT) == hashlib.sha256(rfc8785.dumps(row)).hexdigest()


def test_each_chain_has_its_own_origin() -> None:
    assert origin("gateway-1") != origin("gateway-2")
    assert len(origin("gateway-1")) == 64


def test_the_same_event_has_another_hash_in_another_place() -> None:
    first = link("gateway-1", 1, origin("gateway-1"), EVENT)
    hashes = {
        first.hash,
        link("gateway-1", 2, origin("gateway-1"), EVENT).hash,
        link("gateway-1", 1, first.hash, EVENT).hash,
        link("gateway-2", 1, origin("gateway-1"), EVENT).hash,
    }
    assert len(hashes) == 4


def test_a_row_is_read_as_it_was_linked() -> None:
    row = link("gateway-1", 1, origin("gateway-1"), EVENT)
    assert read_row("gateway-1", 1, row.previous, row.hash, encode_event(EVENT)) == row


def test_a_row_that_can_not_be_read_is_named() -> None:
    with pytest.raises(DamagedRowError, match="row 3 of audit chain gateway-1") as caught:
        read_row("gateway-1", 3, "", "", b"{}")
    assert (caught.value.chain, caught.value.sequence) == ("gateway-1", 3)
