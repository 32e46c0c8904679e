import re
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from examples.common import service

SCOPE = {"type": "http", "method": "POST", "path": "/mcp"}


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (
            b'{"method": "tools/call", "params": {"name": "a", "arguments": {"b": "2", "id": "1"}}}',
            service.Asked("tools/call", "a", "1"),
        ),
        (b'{"method": "m", "params": {"name": "a", "arguments": {"b": "2"}}}', service.Asked("m", "a", "2")),
        (b'{"method": "m", "params": {"name": "a", "arguments": null}}', service.Asked("m", "a")),
        (b'{"method": "m", "params": {"name": "a", "arguments": []}}', service.Asked("m", "a")),
        (b'{"method": "m", "params": {"name": "a", "arguments": {"id": 1}}}', service.Asked("m", "a")),
        (b"not JSON", service.Asked("POST /mcp")),
    ],
)
def test_a_call_is_logged_whatever_its_arguments_are(body: bytes, asked: service.Asked) -> None:
    assert service.reading_calls("id", "b")(SCOPE, body) == asked


def test_a_fingerprint_tells_credentials_apart_and_can_not_be_used() -> None:
    assert re.fullmatch(r"sha256:[0-9a-f]{8}", service.fingerprint("Bearer a"))
    assert service.fingerprint("Bearer a") != service.fingerprint("Bearer b")
    assert service.fingerprint("Bearer a") == service.fingerprint("a")
    assert service.fingerprint("") == "none"


@pytest.mark.parametrize(
    ("header", "presented", "admitted"),
    [
        ("authorization", [("authorization", "Bearer t")], True),
        ("authorization", [("authorization", "t")], False),
        ("authorization", [("x-api-key", "t")], False),
        ("x-api-key", [("x-api-key", "t")], True),
        ("x-api-key", [("x-api-key", "Bearer t")], False),
        ("x-api-key", [("x-api-key", "t"), ("x-api-key", "t")], False),
    ],
)
def test_a_token_counts_in_its_own_header_and_once(
    header: str, presented: list[tuple[str, str]], *, admitted: bool
) -> None:
    raw = [(name.encode(), value.encode()) for name, value in presented]
    assert service.Settings(fixed_token="t", header=header).admits(Headers(raw=raw)) is admitted


def test_settings_come_from_the_environment() -> None:
    environment = {"CRM_TOKEN": "t", "CRM_HOST": "127.0.0.1", "CRM_PORT": "1", "CRM_DATABASE": "d"}
    assert service.Settings.from_environment(environment, "crm") == service.Settings(
        fixed_token="t", host="127.0.0.1", port=1, database="d"
    )
    assert service.Settings.from_environment({"CRM_TOKEN_FILE": "/f"}, "crm").token_file == Path("/f")
    with pytest.raises(ValueError, match="CRM_TOKEN_FILE"):
        service.Settings.from_environment({}, "crm")


def test_the_log_keeps_the_last_requests() -> None:
    log = service.AccessLog()
    for number in range(3):
        log.add(
            service.Access(
                time="", method="m", action=str(number), record="", status=200, credential="none", headers=[]
            )
        )
    assert [access.action for access in log.last(2)] == ["1", "2"]
