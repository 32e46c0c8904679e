from dataclasses import replace

import pytest

from aos.audit.chain import DamagedRowError
from aos.audit.codec import EventError
from aos.audit.lines import decode_row, encode_row
from tests.unit.audit.make import EVENT, chain_of

(ROW,) = chain_of([EVENT])


def test_a_row_survives_its_line() -> None:
    assert decode_row(encode_row(ROW)) == ROW
    assert b"\n" not in encode_row(replace(ROW, event=replace(EVENT, record="a\nb")))


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"chain":1,"sequence":1}',
        b'{"chain":"a","sequence":0}',
        b'{"chain":"a","sequence":true}',
    ],
)
def test_what_is_no_row_is_an_error(line: bytes) -> None:
    with pytest.raises(EventError):
        decode_row(line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"chain":"a","sequence":3}',
        b'{"chain":"a","sequence":3,"previous":"p","hash":"h","event":{"phase":"Later"}}',
    ],
)
def test_a_row_that_is_damaged_is_named(line: bytes) -> None:
    with pytest.raises(DamagedRowError, match="row 3 of audit chain a"):
        decode_row(line)
