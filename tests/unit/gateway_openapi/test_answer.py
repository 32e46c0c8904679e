import pytest

from aos.gateway.openapi.answer import check_status, is_error, result_of
from aos.gateway.refusal import RefusalCode
from aos.gateway.upstream.upstream_error import UpstreamError
from aos.model.base import JsonObject


def text(result: JsonObject) -> str:
    content = result["content"]
    assert isinstance(content, list)
    (block,) = content
    assert isinstance(block, dict)
    return str(block["text"])


@pytest.mark.parametrize("status", [200, 201, 204, 299, 400, 403, 404, 418, 429, 500, 501])
def test_a_status_that_the_system_gives_is_an_answer(status: int) -> None:
    check_status(status)
    assert is_error(status) is (status >= 400)


@pytest.mark.parametrize(
    ("status", "code", "maybe_done"),
    [
        (301, RefusalCode.UPSTREAM_INVALID, True),
        (304, RefusalCode.UPSTREAM_INVALID, True),
        (401, RefusalCode.UPSTREAM_INVALID, False),
        (502, RefusalCode.UPSTREAM_UNREACHABLE, True),
        (503, RefusalCode.UPSTREAM_UNREACHABLE, True),
        (504, RefusalCode.UPSTREAM_UNREACHABLE, True),
    ],
)
def test_a_status_of_what_stands_before_the_system_is_none(
    status: int, code: RefusalCode, *, maybe_done: bool
) -> None:
    with pytest.raises(UpstreamError) as raised:
        check_status(status)
    assert (raised.value.code, raised.value.maybe_done, raised.value.status) == (code, maybe_done, status)


@pytest.mark.parametrize("kind", ["application/json", "application/problem+json"])
def test_json_is_text_and_structure(kind: str) -> None:
    result = result_of(200, kind, b'{"a": 1}', writes=False)
    assert (text(result), result["structuredContent"]) == ('{"a": 1}', {"a": 1})


@pytest.mark.parametrize("kind", ["text/html", "application/xml", "application/atom+xml", ""])
def test_text_is_text(kind: str) -> None:
    assert result_of(200, kind, b"<a>\xff", writes=False) == {
        "content": [{"type": "text", "text": "<a>\ufffd"}]
    }


def test_an_error_is_told_whatever_it_is_written_in() -> None:
    assert text(result_of(404, "application/json", b"{", writes=False)) == "HTTP 404 Not Found\n{"
    assert text(result_of(404, "image/png", b"\x89", writes=False)) == "HTTP 404 Not Found"
    assert text(result_of(599, "", b"", writes=False)) == "HTTP 599"
    assert "structuredContent" not in result_of(404, "application/json", b"{}", writes=False)
