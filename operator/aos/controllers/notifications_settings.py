"""The webhooks that are told of ApprovalRequests: read from a file at the start, and refused where anything is wrong."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from yarl import URL

from aos.model.base import DNS_LABEL
from aos.model.environment import SettingsError
from aos.model.meta import LabelSelector
from aos.reconcile.notice_text import NoticeFormat
from aos.reconcile.notices import Audience, NoticeEvent

MAX_WEBHOOKS: Final = 8
MAX_URL_LENGTH: Final = 2_048
MIN_KEY_BYTES: Final = 16
MAX_SECRET_BYTES: Final = 4_096
_ALL: Final = frozenset(NoticeEvent)

NamespaceName = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]


class WebhookSettings(BaseModel):
    """One entry of the file.

    Attributes:
        name: tells it from the others; kept with each request that it was told of.
        url: where to; in a file of its own where it is itself a secret.
        url_file: the file that holds the address.
        key_file: the file that holds the key by which bodies are signed.
        format: of bodies.
        namespaces: whose requests.
        namespace_selector: whose requests, by the namespaces' labels.
        events: what is told; all where it is left out.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    name: str = Field(min_length=1, max_length=63, pattern=DNS_LABEL)
    url: str = ""
    url_file: Path | None = None
    key_file: Path | None = None
    format: NoticeFormat = NoticeFormat.GENERIC
    namespaces: frozenset[NamespaceName] = frozenset()
    namespace_selector: LabelSelector | None = None
    events: frozenset[NoticeEvent] = Field(default=_ALL, min_length=1)

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if bool(self.url) == (self.url_file is not None):
            raise ValueError("give url, or urlSecretRef, and not both")
        if self.url:
            address_of(self.url)
        if self.namespaces and self.namespace_selector is not None:
            raise ValueError("give namespaces or namespaceSelector, and not both")
        if self.format is NoticeFormat.GENERIC and self.key_file is None:
            raise ValueError(
                "give keySecretRef: a Generic webhook signs what it sends, or its receiver could be told anything"
            )
        return self


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook. What is secret is read anew each time, so that it can be rotated."""

    settings: WebhookSettings

    @property
    def name(self) -> str:
        """Its name."""
        return self.settings.name

    @property
    def audience(self) -> Audience:
        """Whom it tells what."""
        return Audience(
            webhook=self.settings.name,
            events=self.settings.events,
            namespaces=self.settings.namespaces,
            selector=self.settings.namespace_selector,
        )

    def address(self) -> URL:
        """Return where to.

        Raises:
            SettingsError: the file can't be read, or holds no address.
        """
        file = self.settings.url_file
        try:
            return address_of(_read(file).decode() if file is not None else self.settings.url)
        except ValueError as error:
            raise SettingsError(f"webhook {self.name}: {error}") from error

    def key(self) -> bytes | None:
        """Return the key by which bodies are signed; None if they are not.

        Raises:
            SettingsError: the file can't be read, or holds too little.
        """
        file = self.settings.key_file
        if file is None:
            return None
        try:
            key = _read(file)
        except ValueError as error:
            raise SettingsError(f"webhook {self.name}: {error}") from error
        if len(key) < MIN_KEY_BYTES:
            raise SettingsError(
                f"webhook {self.name}: the key in {file} has {len(key)} bytes; give at least {MIN_KEY_BYTES}, as by"
                " `openssl rand -hex 32`"
            )
        return key


def load_webhooks(file: Path | None) -> tuple[Webhook, ...]:
    """Return the webhooks that the file names, each with what it needs at hand; none without a file.

    Raises:
        SettingsError: the file, or what it refers to, can't be read or is wrong; the message names the webhook.
    """
    if file is None:
        return ()
    try:
        raw = json.loads(_read_text(file))
    except ValueError as error:
        raise SettingsError(f"notifications in {file}: {error}") from error
    if not isinstance(raw, list) or len(raw) > MAX_WEBHOOKS:
        raise SettingsError(f"notifications in {file}: give a list of at most {MAX_WEBHOOKS} webhooks")
    found = tuple(_webhook(index, item) for index, item in enumerate(raw))
    names = [item.name for item in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SettingsError(f"notifications: two webhooks have the name {twice}")
    for item in found:
        item.address()
        item.key()
    return found


def _webhook(index: int, raw: object) -> Webhook:
    try:
        return Webhook(WebhookSettings.model_validate(raw))
    except ValidationError as error:
        name = raw.get("name") if isinstance(raw, dict) else None
        problems = "; ".join(
            ": ".join(part for part in (".".join(map(str, item["loc"])), item["msg"]) if part)
            for item in error.errors(include_url=False)
        )
        raise SettingsError(f"notifications[{index}] ({name or 'without a name'}): {problems}") from error


def address_of(text: str) -> URL:
    """Return the address of a webhook.

    Raises:
        ValueError: it is none; the message does not repeat it, since it may be a secret.
    """
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > MAX_URL_LENGTH:
        raise ValueError(f"the url must be printable ASCII, of at most {MAX_URL_LENGTH} characters")
    try:
        url = URL(text, encoded=True)
        is_whole = url.scheme in {"http", "https"} and bool(url.host) and url.port is not None
    except ValueError:
        is_whole = False
        url = URL()
    if not is_whole:
        raise ValueError("the url must begin with https:// or http://, and name a host")
    if url.user or url.password or url.fragment:
        raise ValueError("the url must hold no user, password or fragment")
    return url


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as content:
            found = content.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise ValueError(f"can't read {file}: {error.strerror}") from error
    if len(found) > MAX_SECRET_BYTES:
        raise ValueError(f"{file} holds more than {MAX_SECRET_BYTES} bytes")
    # Editors and `kubectl create secret --from-file` leave a line's end.
    return found.strip()


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"can't read it: {error}") from error
