"""Secrets: shapes that issuers give their keys, private keys, passwords in URLs and in context, and tokens too random to be words."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from aos.inspection.detector import Detector, anything, where
from aos.inspection.spans import Piece

SECRET: Final = "secret"  # noqa: S105 - the name of a class

MIN_TOKEN_BYTES: Final = 32
MAX_TOKEN_BYTES: Final = 256
"""Longer runs are data, not credentials: images, archives."""
MIN_ENTROPY_BITS: Final = 4.0
"""Per character. Words run together and identifiers stay below; 32 random letters and digits lie near 4.5."""
_MIN_DIGITS: Final = 3
_MIN_PASSWORD_BYTES: Final = 4
_MIN_GENERIC_BYTES: Final = 8
_MAX_VALUE_BYTES: Final = 512

_PLACEHOLDERS: Final = re.compile(
    rb"(?i)(?:null|none|nil|true|false|undefined|required|optional|string|str|text|bytes|unknown|empty|unset|redacted|hidden"
    rb"|masked|changeme|change_me|example|placeholder|your[-_ ]?\w*|x+|(?:[*.#_-]|\xe2\x80\xa2)+|<[^<>]*>|\[[\w:, -]*\]"
    rb"|\$\{[^{}]*\}?|\$\([^()]*\)?|\$(?-i:[A-Z_]+)|\{\{[^{}]*\}\}|\{\w*\}|%(?-i:[A-Z_]+)%|%\(\w+\)s|%s"
    rb"|type|field|value|input|secret|password|token|key)[.,;:)\]}\"']*"
)
_DIGIT: Final = re.compile(rb"[0-9]")
_UPPER: Final = re.compile(rb"[A-Z]")
_LOWER: Final = re.compile(rb"[a-z]")
_SYMBOL: Final = re.compile(rb"[^A-Za-z,.;:!?)]")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]+")

_PASSES: Final = r"pass(?:wor[dt]|wd|phrase|code)|pwd|passwort|mot de passe|contrase[nñ]a"
_KEY: Final = (
    r"secret|api[_ -]?key|(?:access|account|secret|private|signing|encryption|master|shared|subscription)[_ -]?key"
    r"|(?:auth|access|refresh|id|session|bearer|api)[_ -]?token|token|credentials?"
)
_IS: Final = r"[\"']?[ \t]{0,3}(?::=|=>|:|=)[ \t]{0,3}"
_VALUE: Final = r"(?:\"([^\"\x00\n]{1,512})\"|'([^'\x00\n]{1,512})'|([^\s\x00\"',;&<>]+))"


def is_placeholder(value: bytes) -> bool:
    """Whether ``value`` stands where a secret would, and is none."""
    return _PLACEHOLDERS.fullmatch(value) is not None


def entropy_bits(value: bytes) -> float:
    """Return Shannon's entropy of ``value``, in bits per byte."""
    total = len(value)
    return -sum(count / total * math.log2(count / total) for count in Counter(value).values())


def _is_password(value: bytes) -> bool:
    return _MIN_PASSWORD_BYTES <= len(value) <= _MAX_VALUE_BYTES and not is_placeholder(value)


def _is_key(value: bytes) -> bool:
    return (
        _MIN_GENERIC_BYTES <= len(value) <= _MAX_VALUE_BYTES
        and _DIGIT.search(value) is not None
        and not is_placeholder(value)
    )


def _is_said(value: bytes) -> bool:
    return _SYMBOL.search(value) is not None and not is_placeholder(value)


def _is_mixed(value: bytes) -> bool:
    return _DIGIT.search(value) is not None and (
        _UPPER.search(value) is not None or _HEX.fullmatch(value.rpartition(b"-")[2]) is not None
    )


def _is_scheme_value(value: bytes) -> bool:
    return _DIGIT.search(value) is not None or (
        _UPPER.search(value[1:]) is not None and _LOWER.search(value) is not None
    )


def _random(text: bytes, start: int, end: int) -> Sequence[Piece]:
    value = text[start:end]
    if not MIN_TOKEN_BYTES <= len(value) <= MAX_TOKEN_BYTES:
        return ()
    varied = len(_DIGIT.findall(value)) >= _MIN_DIGITS and _UPPER.search(value) and _LOWER.search(value)
    if not varied or value.count(b"/") * 8 > len(value) or _HEX.fullmatch(value):
        return ()
    return ((start, end),) if entropy_bits(value) >= MIN_ENTROPY_BITS else ()


def _shape(name: str, hint: str, rest: str) -> Detector:
    """Return a detector of keys that start with what ``hint`` says."""
    return Detector(name, SECRET, hint, rf"\b(?:{hint}){rest}", anything)


DETECTORS: Final = (
    _shape("AWS access key", r"A(?:KI|SI|BI|CC|RO|ID)A[A-Z2-7]{8}", r"[A-Z2-7]{8}\b"),
    _shape("GitHub token", r"gh[pousr]_[A-Za-z0-9]{16}|github_pat_[A-Za-z0-9]{16}", r"[A-Za-z0-9_]{6,}"),
    _shape("GitLab token", r"gl(?:pat|dt|rt|ptt|cbt|soat|ft|imt|agent|oas)-[A-Za-z0-9_-]{10}", r"[A-Za-z0-9_.-]{10,}"),
    _shape("Slack token", r"xox[abceoprs]-|xapp-[0-9]-", r"(?:[0-9]-)?[A-Za-z0-9-]{10,}"),
    _shape("Slack hook", r"hooks\.slack\.com/(?:services|workflows)/", r"[A-Za-z0-9_/+-]{20,}"),
    _shape("Stripe key", r"[spr]k_(?:live|test)_|whsec_", r"[A-Za-z0-9+/=]{16,}"),
    _shape("Google API key", r"AIza[0-9A-Za-z_-]{16}", r"[0-9A-Za-z_-]{19}"),
    _shape("Google OAuth", r"GOCSPX-|ya29\.", r"[0-9A-Za-z_-]{20,}"),
    Detector("AI provider key", SECRET, r"sk-[A-Za-z0-9_-]{16}", r"\bsk-[A-Za-z0-9_-]{20,}", where(_is_mixed)),
    _shape("Hugging Face token", r"hf_[A-Za-z0-9]{16}", r"[A-Za-z0-9]{14,}"),
    _shape("npm token", r"npm_[A-Za-z0-9]{16}", r"[A-Za-z0-9]{20}"),
    _shape("PyPI token", r"pypi-AgE", r"[A-Za-z0-9_-]{40,}"),
    _shape("DigitalOcean token", r"do[opr]_v1_", r"[a-f0-9]{64}"),
    _shape("SendGrid key", r"SG\.[A-Za-z0-9_-]{16,32}\.", r"[A-Za-z0-9_-]{16,64}"),
    _shape("Twilio key", r"SK[0-9a-f]{16}", r"[0-9a-f]{16}\b"),
    _shape("Shopify token", r"shp(?:at|ca|pa|ss)_", r"[a-fA-F0-9]{32}"),
    _shape("Vault token", r"hv[sbr]\.[A-Za-z0-9_-]{16}", r"[A-Za-z0-9_-]{8,}"),
    _shape("Databricks token", r"dapi[0-9a-f]{16}", r"[0-9a-f]{16}"),
    _shape("Telegram token", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{16}", r"[A-Za-z0-9_-]{15,20}"),
    _shape("age key", r"AGE-SECRET-KEY-1", r"[A-Z0-9]{58}"),
    Detector(
        "JWT",
        SECRET,
        r"eyJ[A-Za-z0-9_-]{8}",
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,3}",
        anything,
    ),
    Detector(
        "private key",
        SECRET,
        r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY",
        r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----[^\x00]*?(?:-----END [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----|\x00|\z)",
        anything,
    ),
    Detector(
        "password in a URL",
        SECRET,
        r"://[^\x00-\x20/@\"'<>]*:[^\x00-\x20/@\"'<>]+@",
        r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://([^\x00-\x20/@:?#\"'<>]*:[^\x00-\x20/@\"'<>]+)@",
        anything,
    ),
    Detector("authorization", SECRET, r"(?i)bearer|basic", r"(?i)\b(?:bearer|basic)[ \t]+([A-Za-z0-9._~+/=-]{16,})", where(_is_scheme_value)),
    Detector("password in context", SECRET, rf"(?i)(?:{_PASSES})", rf"(?i)(?:{_PASSES}){_IS}{_VALUE}", where(_is_password)),
    Detector(
        "password in a sentence",
        SECRET,
        rf"(?i)(?:{_PASSES})",
        rf"(?i)\b(?:{_PASSES})[ \t]+(?:is|was|to)[ \t]+[\"'`]?([^\s\x00\"'`]{{6,128}})",
        where(_is_said),
    ),
    Detector("key in context", SECRET, rf"(?i)(?:{_KEY})", rf"(?i)(?:{_KEY}){_IS}{_VALUE}", where(_is_key)),
    Detector("random token", SECRET, r"[A-Za-z0-9+/_]{32}|[A-Za-z0-9+/_-]{40}", r"[A-Za-z0-9+/_]{32,}={0,2}|[A-Za-z0-9+/_-]{40,}={0,2}", _random, torn=False),
)  # fmt: skip
