"""What docs/notifications.md says of events, fields and signatures is so."""

import re
import time
from pathlib import Path

from aos.controllers.notifications_post import signed_headers
from aos.controllers.notifications_settings import WebhookSettings
from aos.reconcile.notice_text import NoticeFormat
from aos.reconcile.notices import NoticeEvent

PAGE = (Path(__file__).resolve().parents[3] / "docs/notifications.md").read_text(encoding="utf-8")
KEY = b"0123456789abcdef"


def test_every_event_format_and_header_is_on_the_page() -> None:
    assert [event for event in NoticeEvent if f"| `{event}` |" not in PAGE] == []
    assert [style for style in NoticeFormat if f"`{style}`" not in PAGE] == []
    headers = signed_headers("id", b"{}", KEY, 1)
    assert [name for name in headers if name.startswith("AOS-") and f"| `{name}` |" not in PAGE] == []


def test_every_field_of_a_webhook_is_on_the_page() -> None:
    by_reference = {"urlFile": "urlSecretRef", "keyFile": "keySecretRef"}
    names = [str(field.alias) for field in WebhookSettings.model_fields.values()]
    assert [name for name in names if f"`{by_reference.get(name, name)}`" not in PAGE] == []


def test_the_example_tells_a_genuine_notice_from_any_other() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    scope: dict[str, object] = {}
    exec(example, scope)  # noqa: S102 - the page's own code
    is_genuine = scope["is_genuine"]
    assert callable(is_genuine)
    now = int(time.time())
    headers = signed_headers("id", b"{}", KEY, now)
    assert is_genuine(KEY, headers, b"{}")
    assert not is_genuine(KEY, headers, b"{ }")
    assert not is_genuine(b"another key, long", headers, b"{}")
    assert not is_genuine(KEY, signed_headers("id", b"{}", KEY, now - 301), b"{}")
