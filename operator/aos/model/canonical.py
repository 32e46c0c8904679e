"""Digests over RFC 8785 JSON, so that equal data has an equal name everywhere."""

import hashlib
from collections.abc import Mapping

import rfc8785
from pydantic import JsonValue


def json_digest(value: Mapping[str, JsonValue] | list[JsonValue]) -> str:
    """Return ``sha256:`` and the hex digest of ``value`` in canonical form.

    Raises:
        ValueError: ``value`` holds a number that JSON can't carry exactly (beyond 2**53, NaN, infinity).
    """
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()


def canonical_json(value: Mapping[str, JsonValue] | list[JsonValue]) -> bytes:
    """Return ``value`` as RFC 8785 bytes."""
    return rfc8785.dumps(value)
