import json
from pathlib import Path

import pytest
from pydantic import JsonValue

from aos.controllers.notifications_settings import load_webhooks
from aos.model.environment import SettingsError
from aos.reconcile.notices import NoticeEvent

URL = "https://hooks.example.com/aos"
KEY = "0123456789abcdef"


def written(folder: Path, *webhooks: dict[str, JsonValue]) -> Path:
    (folder / "key").write_text(f"{KEY}\n")
    (folder / "short").write_text("short")
    (folder / "url").write_text(f"{URL}\n")
    file = folder / "notifications.json"
    file.write_text(json.dumps(list(webhooks)))
    return file


def test_without_a_file_nobody_is_told() -> None:
    assert load_webhooks(None) == ()


def test_a_webhook_is_read_with_its_secrets(tmp_path: Path) -> None:
    (webhook,) = load_webhooks(
        written(
            tmp_path,
            {
                "name": "chat",
                "urlFile": str(tmp_path / "url"),
                "keyFile": str(tmp_path / "key"),
                "format": "Generic",
                "namespaceSelector": {"matchLabels": {"env": "prod"}},
                "events": ["Asked"],
            },
        )
    )
    assert str(webhook.address()) == URL
    assert webhook.key() == KEY.encode()
    assert webhook.audience.events == {NoticeEvent.ASKED}
    assert webhook.audience.includes("sales", {"env": "prod"})
    assert not webhook.audience.includes("sales", {})


def test_what_is_secret_is_read_anew_each_time(tmp_path: Path) -> None:
    (webhook,) = load_webhooks(
        written(tmp_path, {"name": "chat", "format": "Slack", "urlFile": str(tmp_path / "url")})
    )
    (tmp_path / "url").write_text("https://other.example.com/x")
    assert webhook.address().host == "other.example.com"
    (tmp_path / "url").unlink()
    with pytest.raises(SettingsError, match="webhook chat: can't read"):
        webhook.address()


@pytest.mark.parametrize(
    ("webhook", "message"),
    [
        ({"name": "chat", "format": "Slack"}, "give url, or urlSecretRef, and not both"),
        ({"name": "chat", "url": URL}, "give keySecretRef"),
        ({"name": "chat", "format": "Slack", "url": "ftp://x/y"}, "must begin with https:// or http://"),
        ({"name": "chat", "format": "Slack", "url": "https:///y"}, "must begin with https:// or http://"),
        ({"name": "chat", "format": "Slack", "url": "https://x:y/"}, "must begin with https:// or http://"),
        ({"name": "chat", "format": "Slack", "url": "https://u:p@x/"}, "no user, password or fragment"),
        ({"name": "chat", "format": "Slack", "url": "https://x/\r\ny"}, "printable ASCII"),
        ({"name": "chat", "format": "Slack", "url": URL, "link": "x"}, "link: Extra inputs"),
        ({"name": "Chat", "format": "Slack", "url": URL}, r"notifications\[0\] \(Chat\): name: "),
        ({"format": "Slack", "url": URL}, "without a name"),
        ({"name": "chat", "format": "Slack", "url": URL, "events": []}, "events: "),
        ({"name": "chat", "format": "Slack", "url": URL, "events": ["Done"]}, "events"),
        (
            {"name": "chat", "format": "Slack", "url": URL, "namespaces": ["a"], "namespaceSelector": {}},
            "give namespaces or namespaceSelector",
        ),
        ({"name": "chat", "url": URL, "keyFile": "FOLDER/none"}, "webhook chat: can't read"),
        ({"name": "chat", "url": URL, "keyFile": "FOLDER/short"}, "has 5 bytes; give at least 16"),
    ],
)
def test_a_webhook_that_can_not_work_is_refused_by_its_name(
    tmp_path: Path, webhook: dict[str, JsonValue], message: str
) -> None:
    placed = {
        name: value.replace("FOLDER", str(tmp_path)) if isinstance(value, str) else value
        for name, value in webhook.items()
    }
    with pytest.raises(SettingsError, match=message):
        load_webhooks(written(tmp_path, placed))


def test_two_of_one_name_and_too_many_are_refused(tmp_path: Path) -> None:
    chat: dict[str, JsonValue] = {"name": "chat", "format": "Slack", "url": URL}
    with pytest.raises(SettingsError, match="two webhooks have the name chat"):
        load_webhooks(written(tmp_path, chat, chat))
    with pytest.raises(SettingsError, match="at most 8"):
        load_webhooks(written(tmp_path, *({**chat, "name": f"chat-{index}"} for index in range(9))))


@pytest.mark.parametrize("content", ["", "{}", "[1]", "nonsense"])
def test_a_file_that_is_no_list_of_webhooks_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "notifications.json"
    file.write_text(content)
    with pytest.raises(SettingsError, match="notifications"):
        load_webhooks(file)
    with pytest.raises(SettingsError, match="can't read it"):
        load_webhooks(tmp_path / "none")
