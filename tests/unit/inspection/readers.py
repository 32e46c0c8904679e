"""How programs read the host of a URL: simple readers of each kind, and where what they read leads."""

import ipaddress
import re
import unicodedata
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote, urlsplit

from aos.inspection.hosts import numeric_readings

LISTED: Final = frozenset({"allowed.example"})
_CONTROLS: Final = "".join(map(chr, range(0x21)))
_FORBIDDEN: Final = re.compile(r"[\x00-\x20#/:<>?@\[\\\]^|%\x7f]")
_BLANK: Final = re.compile(r"\s")


def rfc(text: str) -> Iterator[str]:
    """Read as RFC 3986 and urlsplit do: up to / ? #, behind the last @."""
    try:
        yield urlsplit(text).hostname or ""
    except ValueError:
        return


def whatwg(text: str) -> Iterator[str]:
    """Read as browsers do: tabs and line ends are ignored, a backslash is a slash, slashes may be left out."""
    trimmed = re.sub(r"[\t\r\n]", "", text.strip(_CONTROLS))
    start = re.match(r"(?:https?|wss?|ftp):[/\\]*|[/\\]{2,}", trimmed, re.IGNORECASE)
    if start is None:
        return
    authority = re.split(r"[/\\?#]", trimmed[start.end() :], maxsplit=1)[0]
    host = _host_of(authority.rpartition("@")[2])
    name = unicodedata.normalize("NFKC", unquote(host))
    if host.startswith("[") or not _FORBIDDEN.search(name):
        yield name


def lenient(text: str, stops: str) -> Iterator[str]:
    """Read what looks like a URL in running text, up to a blank or one of ``stops``, behind the first @ or the last."""
    for match in re.finditer(
        rf"[a-z][a-z0-9+.-]*://([^\s/?#{re.escape(stops)}]*)", text, re.ASCII | re.IGNORECASE
    ):
        authority = match[1]
        yield _host_of(authority.rpartition("@")[2])
        yield _host_of(authority.partition("@")[2].partition("@")[0] or authority)
        yield unquote(_host_of(authority.rpartition("@")[2]))


def leads_astray(host: str, *, listed: bool) -> bool:
    """Whether a host, as some program read it, is one that must not be reached."""
    name = unicodedata.normalize("NFKC", host).lower().removesuffix(".")
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    if not name or _BLANK.search(name):
        return False
    try:
        readings: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...] = (ipaddress.ip_address(name),)
    except ValueError:
        readings = numeric_readings(name)
    if not readings and not re.fullmatch(r"[a-z0-9-]+", name.rpartition(".")[2]):
        return False
    if listed:
        return name not in LISTED
    return any(not each.is_global for each in readings) or (
        not readings and (name.rpartition(".")[2] == "localhost" or "." not in name)
    )


def _host_of(authority: str) -> str:
    return authority.partition("]")[0] + "]" if authority.startswith("[") else authority.partition(":")[0]
