"""Signed heads: Ed25519 over where a chain stood. Each chain has its own key, which only its writer ever held."""

import base64
import binascii
from dataclasses import dataclass
from typing import Final, Self

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from aos.audit.head import ChainHead

MAX_HEAD_BYTES: Final = 2048
"""A signed head as JSON."""
_CONTEXT: Final = b"aos.dev/audit/head/v1\n"
_HASH_LENGTH: Final = 64
_FIELDS: Final = frozenset({"chain", "hash", "key", "sequence", "signature", "time"})


class HeadError(ValueError):
    """What was given is no signed head; the message says why."""


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A head, and who vouches for it.

    Attributes:
        head: where the chain stood.
        key: the chain's public key, 32 bytes in base64.
        signature: over the head, 64 bytes in base64.
    """

    head: ChainHead
    key: str
    signature: str

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Return the head that `encode` wrote; whether it is genuine is another question.

        Raises:
            HeadError: it is none.
        """
        try:
            said = orjson.loads(content) if len(content) <= MAX_HEAD_BYTES else None
        except orjson.JSONDecodeError as error:
            raise HeadError(f"a signed head is not JSON: {error}") from error
        if not isinstance(said, dict) or said.keys() != _FIELDS:
            raise HeadError(f"a signed head is an object of {', '.join(sorted(_FIELDS))}")
        sequence = said.pop("sequence")
        if type(sequence) is not int or sequence < 1 or not all(isinstance(v, str) for v in said.values()):
            raise HeadError("a signed head has a field of the wrong type")
        if len(said["hash"]) != _HASH_LENGTH or not said["chain"]:
            raise HeadError("a signed head lacks its chain or has a hash that is none")
        head = ChainHead(said["chain"], sequence, said["hash"], said["time"])
        return cls(head, said["key"], said["signature"])

    def encode(self) -> bytes:
        """Return it as one line of RFC 8785 JSON."""
        head = self.head
        return orjson.dumps(
            {
                "chain": head.chain,
                "hash": head.hash,
                "key": self.key,
                "sequence": head.sequence,
                "signature": self.signature,
                "time": head.time,
            }
        )

    @property
    def is_genuine(self) -> bool:
        """Whether the holder of the private half of ``key`` signed exactly this head."""
        try:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(self.key, validate=True))
            key.verify(base64.b64decode(self.signature, validate=True), _message(self.head))
        except (InvalidSignature, ValueError, binascii.Error):
            return False
        return True


class HeadSigner:
    """The key of one chain. It is made here, never leaves this process and ends with it.

    So nobody can sign for a chain any more once its writer has ended, whatever they get hold of later.
    """

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.generate()
        self._public = base64.b64encode(self._private.public_key().public_bytes_raw()).decode()

    def sign(self, head: ChainHead) -> SignedHead:
        """Return ``head`` with a signature."""
        signature = base64.b64encode(self._private.sign(_message(head))).decode()
        return SignedHead(head, self._public, signature)


def _message(head: ChainHead) -> bytes:
    return _CONTEXT + orjson.dumps(
        {"chain": head.chain, "hash": head.hash, "sequence": head.sequence, "time": head.time}
    )
