"""Hosts as URLs write them, in every notation, and which of them lie inside. No lookup is made: a name is judged as a name."""

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_INSIDE_SUFFIXES: Final = (
    "localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan", "arpa",
    "svc", "cluster.local", "default", "test", "invalid", "onion",
)  # fmt: skip
"""Of names that are resolved inside a network or a cluster, or nowhere."""
POINTING_INSIDE: Final = (
    "nip.io", "sslip.io", "xip.io", "localtest.me", "lvh.me", "vcap.me", "lacolhost.com", "local.gd",
)  # fmt: skip
"""Public names whose records point at loopback, or at whatever address their name says."""
_INSIDE_ENDINGS: Final = tuple(f".{suffix}" for suffix in _INSIDE_SUFFIXES)
_POINTING_ENDINGS: Final = tuple(f".{suffix}" for suffix in POINTING_INSIDE)
_METADATA_NAMES: Final = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_METADATA_ADDRESSES: Final = frozenset(
    ipaddress.ip_address(address)
    for address in ("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")
)  # fmt: skip
_NAT64: Final = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_ISATAP: Final = 0x5EFE
_STOPS: Final = re.compile("[\u3002\uff0e\uff61]")
_DEVIANT: Final = re.compile("[\u00df\u1e9e\u03c2\u200c\u200d]")
"""Sharp s, final sigma and the joiners: IDNA 2003 and 2008 make another name of each (UTS 46, section 4)."""
_NUMBER: Final = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
_MAX_NAME_LENGTH: Final = 253
_MAX_LABEL_LENGTH: Final = 63
_BYTE: Final = 256


class HostError(ValueError):
    """Text that is no host, or could be read as two; the message says why."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host in its one form.

    Attributes:
        name: in lower case and ASCII, without a final dot; an address in its shortest form.
        address: if it is one.
    """

    name: str
    address: Address | None = None

    @property
    def inside(self) -> str:
        """Why the host may not be named unless policy lists it; empty where it may."""
        if self.address is not None:
            return _inside_address(self.address)
        if self.name in _METADATA_NAMES:
            return "it serves metadata and credentials of machines"
        if "." not in self.name:
            return "a name without a dot is looked up inside"
        if f".{self.name}".endswith(_INSIDE_ENDINGS):
            return "names of this ending are looked up inside"
        if f".{self.name}".endswith(_POINTING_ENDINGS):
            return "names of this ending point at inside addresses"
        return ""


def parse_host(text: str) -> Host:
    """Return the host that ``text``, as it stands in a URL, names.

    Args:
        text: without user information and port; IPv6 in brackets.

    Raises:
        HostError: it is none, or programs differ in how they read it.
    """
    plain = _STOPS.sub(".", unicodedata.normalize("NFKC", unquote(text))).strip()
    if plain.startswith("["):
        return _bracketed(plain)
    if not plain.isascii() and _DEVIANT.search(plain) is not None:
        raise HostError(
            "it holds a sharp s, a final sigma or a joiner, of which programs make two different names: write it as xn--..."
        )
    name = plain.lower().removesuffix(".")
    if not name:
        raise HostError("it has no host")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        address = _only_ipv4(name)
        return Host(str(address), address)
    return Host(_ascii(name))


def matches(host: Host, patterns: frozenset[str]) -> bool:
    """Whether one of ``patterns`` names the host; ``*.example.com`` names all below example.com."""
    return lists_exactly(host, patterns) or (
        host.address is None
        and any(
            pattern.startswith("*.") and host.name.endswith(pattern[1:].lower().removesuffix("."))
            for pattern in patterns
        )
    )


def lists_exactly(host: Host, patterns: frozenset[str]) -> bool:
    """Whether ``patterns`` hold the very host."""
    return any(_is_listed(host, pattern) for pattern in patterns)


def _is_listed(host: Host, pattern: str) -> bool:
    if host.address is None:
        return pattern.lower().removesuffix(".") == host.name
    try:
        return ipaddress.ip_address(pattern.strip("[]")) == host.address
    except ValueError:
        return False


def _bracketed(text: str) -> Host:
    # A zone says which of the machine's own links is meant.
    inner, closed, rest = text[1:].partition("]")
    address = inner.partition("%")[0]
    if not closed or rest:
        raise HostError("its brackets do not match")
    try:
        found = ipaddress.IPv6Address(address)
    except ValueError:
        raise HostError("what stands in brackets is no IPv6 address") from None
    return Host(str(found), found)


def numeric_readings(name: str) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the addresses that programs may take ``name`` for, if it is one to four numbers with dots between.

    They are those of inet_aton, where numbers are decimal, octal or hexadecimal, and those of programs to which a leading
    zero says nothing.
    """
    readings = {_short_ipv4(name, octal=True), _short_ipv4(name, octal=False)}
    return tuple(reading for reading in readings if reading is not None)


def _only_ipv4(name: str) -> ipaddress.IPv4Address:
    octal, decimal = _short_ipv4(name, octal=True), _short_ipv4(name, octal=False)
    if octal is None and decimal is None:
        raise HostError("it ends like an address, and is none")
    if octal is None or octal != decimal:
        raise HostError(
            "a number in its address begins with 0, which is octal to some programs and decimal to others: write it without the 0"
        )
    return octal


def _short_ipv4(name: str, *, octal: bool) -> ipaddress.IPv4Address | None:
    parts = name.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):  # noqa: PLR2004 - bytes of an address
        return None
    try:
        *firsts, last = (_number(part, octal=octal) for part in parts)
    except ValueError:
        return None
    if any(number >= _BYTE for number in firsts) or last >= _BYTE ** (4 - len(firsts)):
        return None
    value = last
    for place, number in enumerate(firsts):
        value += number * _BYTE ** (3 - place)
    return ipaddress.IPv4Address(value)


def _number(part: str, *, octal: bool) -> int:
    """Read one number; ValueError where it is none."""
    if part[:2] in ("0x", "0X"):
        return int(part[2:] or "0", 16)
    return int(part, 8) if octal and len(part) > 1 and part[0] == "0" else int(part)


def _ascii(name: str) -> str:
    if not name.isascii():
        try:
            name = name.encode("idna").decode().lower()
        except UnicodeError:
            raise HostError("it holds characters that host names can't have") from None
    labels = name.split(".")
    if len(name) > _MAX_NAME_LENGTH or not all(
        len(label) <= _MAX_LABEL_LENGTH and _LABEL.fullmatch(label) for label in labels
    ):
        raise HostError("it is no host name")
    return name


def _inside_address(address: Address) -> str:
    for each in (address, *_embedded(address)):
        if each in _METADATA_ADDRESSES:
            return "it serves metadata and credentials of machines"
        if each.is_loopback:
            return "it is a loopback address"
        if not each.is_global or each.is_multicast or each.is_reserved:
            return "it is not a public address"
    return ""


def _embedded(address: Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    low = int(address) & 0xFFFFFFFF
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _NAT64) or int(address) >> 32 in (0, 0xFFFF0000):
        found.append(ipaddress.IPv4Address(low))
    if int(address) >> 32 & 0xFFFF == _ISATAP:
        found.append(ipaddress.IPv4Address(low))
    return tuple(each for each in found if each is not None)
