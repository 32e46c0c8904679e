"""URLs in the arguments of a call: none may lead a tool to an address inside, or past the hosts that policies list."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote

from pydantic import JsonValue

from aos.inspection import folding
from aos.inspection.authority import FurtherHosts, goes_on
from aos.inspection.hosts import (
    POINTING_INSIDE,
    Host,
    HostError,
    lists_exactly,
    matches,
    numeric_readings,
    parse_host,
)

MAX_DECODINGS: Final = 3
"""How many percent-encodings over each other are undone."""

_MAX_SHOWN: Final = 100
_REFUSED_SCHEMES: Final = frozenset(
    {
        "about", "app", "blob", "cap", "chrome", "data", "dict", "expect", "file", "filesystem", "finger", "glob", "gopher",
        "imap", "jar", "javascript", "jdbc", "jndi", "ldap", "ldaps", "local_file", "mailbox", "netdoc", "nntp", "ogg",
        "pop3", "phar", "php", "resource", "rlogin", "rmi", "rsync", "rtsp", "smb", "smtp", "snmp", "ssh2", "telnet",
        "tftp", "unix", "vbscript", "view-source", "zip", "zlib",
    }
)  # fmt: skip
"""Schemes that read files or run code, or reach servers that were not made to be reached by URL."""
_MAYBE: Final = re.compile(r"[.:%]|//|\\\\|localhost", re.IGNORECASE)
_UNPLAIN: Final = re.compile(r"[%\\&\x00-\x1f\x7f]")
_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{1,30}):(?P<slashes>[/\\]{2,})|(?P<special>https?|wss?|ftp):(?P<few>[/\\]?)(?![/\\])",
    re.IGNORECASE,
)
# Bounded, and so are schemes: what is looked at for each of many URLs must not reach to the end of the text.
_AUTHORITY: Final = re.compile(r"[^\s<>\"'`{}|^/?#]{0,1024}")
_RELATIVE: Final = re.compile(
    r"(?:^|(?<=[\s=\"'(,\[]))(?P<slashes>[/\\]{2,})(?=[^\s/\\])(?P<rest>[^\s/\\<>\"'`{}|^?#]*)"
)
_OPAQUE: Final = re.compile(r"(?:url:)*(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{1,30}):(?=\S)", re.IGNORECASE)
_HOST: Final = r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[\w.-]+)(?P<behind>(?::[0-9]*)?(?:[/?#\\].*)?)"
_BARE: Final = re.compile(_HOST, re.DOTALL)
_BARE_USER: Final = re.compile(rf"(?:[^/?#\\]*@)?{_HOST}", re.DOTALL)
_NUMBERS: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){1,3}")
_CERTAIN: Final = re.compile(r"[^.]*(?:\.[^.]*){3}|.*x[0-9a-f].*|0[0-9]{2,}\..*")
"""Numbers that are an address and no version, date, time or amount: four; with a hexadecimal one; an octal one first."""
_LOOPBACK: Final = "127."
_MAIL_ENDINGS: Final = (".internal", ".intranet", ".corp", ".lan", ".localdomain")
"""Of domains in which people have mail addresses, too."""
_BARE_ENDINGS: Final = (
    "]", ".localhost", ".svc", ".cluster.local", ".metadata.goog", ".kubernetes.default",
    *_MAIL_ENDINGS, *(f".{name}" for name in POINTING_INSIDE),
)  # fmt: skip
"""Of texts that are a host for certain; what ends otherwise may be the name of a file or a setting."""
_IPV6: Final = re.compile(r"[0-9A-Fa-f:.]+(?:%[\w.-]*)?")
_IGNORED: Final = re.compile(r"[\t\r\n]")
_PORT: Final = re.compile(r":[0-9]*$")
_AUTHORITY_END: Final = re.compile(r"[/?#\\]")
_PUNCTUATION: Final = ").,;!*"


@dataclass(frozen=True, slots=True)
class UrlProblem:
    """Why a call's arguments may not be sent.

    Attributes:
        where: the URL stands, as a path: ``args.items[0].url``.
        host: that it names; empty where it names none.
        message: for people and for the agent.
    """

    where: str
    host: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def check_urls(value: JsonValue, allowed: frozenset[frozenset[str]]) -> UrlProblem | None:
    """Return what is wrong with a URL in ``value``; None if nothing is.

    Inside, private and metadata addresses are refused in every notation, unless each list of ``allowed`` holds the very
    host; with lists, every host must match in each.

    Args:
        value: arguments of a call; keys are looked at too.
        allowed: one list of host patterns for each policy that has one.
    """
    if _is_plain(value):
        return None
    for where, text in _texts(value, "args"):
        for reading in _readings(text):
            problem = _check_text(where, reading, allowed)
            if problem is not None:
                return problem
    return None


def _is_plain(value: JsonValue) -> bool:
    """Whether certainly no text in ``value`` names a place, which one look at all of them together tells."""
    texts: list[str] = []
    waiting: list[JsonValue] = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            texts.append(node)
        elif isinstance(node, dict):
            texts += node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    together = _BETWEEN.join(texts)
    return together.isascii() and _MAYBE.search(together) is None


_BETWEEN: Final = "\0"
"""No place's name goes on across it."""


def _texts(value: JsonValue, where: str) -> Iterator[tuple[str, str]]:
    waiting: list[tuple[str, JsonValue]] = [(where, value)]
    while waiting:
        place, node = waiting.pop()
        if isinstance(node, str):
            yield place, node
        elif isinstance(node, dict):
            for key, item in node.items():
                yield place, key
                if isinstance(item, str | dict | list):
                    waiting.append((f"{place}.{key[:_MAX_SHOWN]}", item))
        elif isinstance(node, list):
            waiting += [
                (f"{place}[{position}]", item)
                for position, item in enumerate(node)
                if isinstance(item, str | dict | list)
            ]


def _readings(text: str) -> Iterator[str]:
    """Give the text as programs may read it: as it stands, without what they ignore, decoded."""
    if _MAYBE.search(text) is None and text.isascii():
        return
    if _UNPLAIN.search(text) is None and text.isascii():
        yield text
        return
    seen = set()
    reading = text
    for _ in range(MAX_DECODINGS + 1):
        for each in (reading, _IGNORED.sub("", reading), folding.plain_text(reading)):
            if each not in seen:
                seen.add(each)
                yield each
        decoded = unquote(reading)
        if decoded == reading:
            return
        reading = decoded


def _check_text(where: str, text: str, allowed: frozenset[frozenset[str]]) -> UrlProblem | None:
    stripped = text.strip()
    problem = _check_schemes(where, stripped, allowed) if ":" in stripped else None
    if problem is None and ("//" in stripped or "\\" in stripped):
        problem = _check_relative(where, stripped, allowed)
    return problem or _check_bare(where, stripped, allowed)


def _check_schemes(where: str, text: str, allowed: frozenset[frozenset[str]]) -> UrlProblem | None:
    opaque = _OPAQUE.match(text)
    if opaque and opaque["scheme"].lower() in _REFUSED_SCHEMES:
        return _refused_scheme(where, opaque["scheme"])
    further: FurtherHosts | None = None
    for match in _URL.finditer(text):
        scheme = match["scheme"] or match["special"]
        if scheme.lower() in _REFUSED_SCHEMES:
            return _refused_scheme(where, scheme)
        start = match.end()
        authority = _AUTHORITY.match(text, start)
        end = authority.end() if authority else start
        problem = _check_authority(where, match["slashes"] or match["few"] or "", text[start:end], allowed)
        if problem is None and goes_on(text, match.start(), end):
            further = further or FurtherHosts(text)
            problem = _check_further(where, further.behind(match.start(), start), allowed)
        if problem is not None:
            return problem
    return None


def _check_relative(where: str, text: str, allowed: frozenset[frozenset[str]]) -> UrlProblem | None:
    further: FurtherHosts | None = None
    for match in _RELATIVE.finditer(text):
        leads = match.start() == 0 or _looks_like_host(match["rest"])
        problem = _check_authority(where, match["slashes"], match["rest"], allowed) if leads else None
        if problem is None and goes_on(text, match.start(), match.end()):
            further = further or FurtherHosts(text)
            behind = further.behind(match.start(), match.start("rest"), alone=leads)
            problem = _check_further(where, behind, allowed)
        if problem is not None:
            return problem
    return None


def _check_authority(
    where: str, slashes: str, authority: str, allowed: frozenset[frozenset[str]]
) -> UrlProblem | None:
    if not authority:
        return None
    if "\\" in slashes or "\\" in authority:
        return UrlProblem(
            where, "", "a URL has a backslash before its path, which programs read in different ways"
        )
    if "@" in unquote(authority):
        return UrlProblem(where, "", "a URL carries user information, which hides where it leads")
    try:
        host = parse_host(_without_port(authority))
    except HostError as error:
        return UrlProblem(where, "", f"the host of a URL can't be judged: {error}")
    return _judge(where, host, allowed)


def _check_further(
    where: str, behind: Iterator[Host], allowed: frozenset[frozenset[str]]
) -> UrlProblem | None:
    try:
        for host in behind:
            problem = _judge(where, host, allowed)
            if problem is not None:
                return replace(problem, message=f"{problem.message}; {_READ_ON}")
    except HostError as error:
        return UrlProblem(where, "", f"what follows the host of a URL can't be judged: {error}; {_READ_ON}")
    return None


_READ_ON: Final = "some programs count what follows a URL's host to it, so put / right after the host"


def _judge(where: str, host: Host, allowed: frozenset[frozenset[str]]) -> UrlProblem | None:
    if not all(matches(host, patterns) for patterns in allowed):
        return UrlProblem(
            where, host.name, f"a URL leads to {host.name}, which is not among the hosts that policy allows"
        )
    return _judge_inside(where, host, allowed)


def _judge_inside(where: str, host: Host, allowed: frozenset[frozenset[str]]) -> UrlProblem | None:
    inside = host.inside
    if not inside or (allowed and all(lists_exactly(host, patterns) for patterns in allowed)):
        return None
    return UrlProblem(
        where,
        host.name,
        f"a URL leads to {host.name}: {inside}, so data.urls.allowHosts of a policy would have to name it",
    )


def _check_bare(where: str, text: str, allowed: frozenset[frozenset[str]]) -> UrlProblem | None:
    """Check a text that is a host with or without user, port and path: a tool may well put a scheme before it.

    Lists do not bear on it, since a file's name looks the same.
    """
    if text.count(":") > 1 and _IPV6.fullmatch(text):
        text = f"[{text}]"
    if "@" not in text:
        return _check_host(where, _BARE.fullmatch(text), allowed, user=False)
    problem = _check_host(where, _BARE_USER.fullmatch(text), allowed, user=True)
    if problem is None and text.count("@") > 1:
        # What programs read that take the first @, and not the last, for the end of user information.
        first = text.find("@")
        if _AUTHORITY_END.search(text, 0, first) is None:
            return _check_host(where, _BARE.match(text, first + 1), allowed, user=True)
    return problem


def _check_host(
    where: str, bare: re.Match[str] | None, allowed: frozenset[frozenset[str]], *, user: bool
) -> UrlProblem | None:
    if bare is None:
        return None
    name = bare["host"].lower().removesuffix(".")
    if name[:1].isdigit() and _NUMBERS.fullmatch(name):
        is_address = _CERTAIN.fullmatch(name) or (name.startswith(_LOOPBACK) and (user or bare["behind"]))
        return _check_numbers(where, name, allowed) if is_address else None
    if not f".{name}".endswith(_BARE_ENDINGS):
        return None
    if user and not bare["behind"] and f".{name}".endswith(_MAIL_ENDINGS):
        return None
    try:
        return _judge_inside(where, parse_host(name), allowed)
    except HostError as error:
        return None if name[0] == "[" else UrlProblem(where, "", f"a host can't be judged: {error}")


def _check_numbers(where: str, name: str, allowed: frozenset[frozenset[str]]) -> UrlProblem | None:
    for address in numeric_readings(name):
        # 0.1.2.3 is a version, which leads nowhere.
        if address.packed[0] or not int(address):
            problem = _judge_inside(where, Host(str(address), address), allowed)
            if problem is not None:
                return problem
    return None


def _looks_like_host(rest: str) -> bool:
    host = rest.rpartition("@")[2]
    return "." in host.strip(".") or host.startswith("[") or host.lower().startswith("localhost")


def _without_port(authority: str) -> str:
    plain = authority if authority.startswith("[") else unquote(authority)
    return _PORT.sub("", plain.rstrip(_PUNCTUATION))


def _refused_scheme(where: str, scheme: str) -> UrlProblem:
    return UrlProblem(where, "", f"URLs of the scheme {scheme.lower()} are not allowed")
