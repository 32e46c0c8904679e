"""Keys and certificates: making them, reading them from Secrets, and writing them there. No decisions and no I/O."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Self, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aos.kube.objects import child, resource_version_of, text
from aos.model.base import JsonObject
from aos.model.names import (
    CA_SECRET,
    GATEWAY_TLS_SECRET,
    LABEL_MANAGED_BY,
    LABEL_NAME,
    LABEL_PART_OF,
    MANAGED_BY,
)
from aos.reconcile.certificates import (
    AUTHORITY_LIFE,
    CLOCK_SKEW,
    SERVING_LIFE,
    CertificateFacts,
    ObservedCertificates,
    serving_names,
)

E = TypeVar("E", bound=x509.ExtensionType)

_CERTIFICATE: Final = "tls.crt"
_KEY: Final = "tls.key"
_NEXT_CERTIFICATE: Final = "next.crt"
_NEXT_KEY: Final = "next.key"
_BUNDLE: Final = "ca.crt"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def parse(cls, certificate: bytes, key: bytes) -> Self | None:
        """Return the pair that two PEM texts hold; None if they hold none that fits."""
        try:
            parsed = x509.load_pem_x509_certificate(certificate)
            private = serialization.load_pem_private_key(key, password=None)
        except (ValueError, TypeError):
            return None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or parsed.public_key() != private.public_key():
            return None
        return cls(parsed, private)

    def certificate_pem(self) -> bytes:
        """Return the certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        """Return the key as PEM."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """What the two Secrets hold.

    Attributes:
        signing: the authority that signs; None if there is none that can be used.
        following: the one that will sign next.
        trusted: the bundle.
        serving: the gateway's certificate.
        serving_bundle: the gateway's copy of the bundle.
        versions: resource versions of the two Secrets; empty for one that is not there.
    """

    signing: Pair | None = None
    following: Pair | None = None
    trusted: Sequence[x509.Certificate] = ()
    serving: Pair | None = None
    serving_bundle: Sequence[x509.Certificate] = ()
    versions: tuple[str, str] = ("", "")

    @classmethod
    def parse(cls, authority: JsonObject | None, serving: JsonObject | None) -> Self:
        """Return what the Secrets hold; what can't be read counts as missing."""
        ours, theirs = authority or {}, serving or {}
        return cls(
            signing=_pair(ours, _CERTIFICATE, _KEY),
            following=_pair(ours, _NEXT_CERTIFICATE, _NEXT_KEY),
            trusted=_certificates(_datum(ours, _BUNDLE)),
            serving=_pair(theirs, _CERTIFICATE, _KEY),
            serving_bundle=_certificates(_datum(theirs, _BUNDLE)),
            versions=(resource_version_of(ours), resource_version_of(theirs)),
        )

    def observed(self) -> ObservedCertificates:
        """Return what decisions are made from."""
        return ObservedCertificates(
            signing=_facts(self.signing.certificate) if self.signing else None,
            following=_facts(self.following.certificate) if self.following else None,
            trusted=tuple(_facts(item) for item in self.trusted),
            serving=_facts(self.serving.certificate) if self.serving else None,
            serving_bundle=frozenset(_facts(item).key_id for item in self.serving_bundle),
        )

    def bundle(self) -> str:
        """Return the authorities to trust, as PEM."""
        return _bundle(self.trusted).decode()

    def with_new_authority(self, now: datetime) -> Self:
        """Return this with an authority that signs at once; whoever trusted another one still does."""
        made = make_authority(now)
        return replace(self, signing=made, following=None, trusted=(made.certificate, *self.trusted))

    def with_next_authority(self, now: datetime) -> Self:
        """Return this with the next authority, trusted and not signing yet."""
        made = make_authority(now)
        return replace(self, following=made, trusted=(*self.trusted, made.certificate))

    def with_promoted_authority(self) -> Self:
        """Return this with the next authority signing; the last one is still trusted."""
        return replace(self, signing=self.following, following=None)

    def without_expired(self, now: datetime) -> Self:
        """Return this without authorities that are not valid any more."""
        return replace(self, trusted=tuple(item for item in self.trusted if now < item.not_valid_after_utc))

    def with_serving(self, namespace: str, now: datetime) -> Self:
        """Return this with a new certificate for the gateway.

        Raises:
            ValueError: there is no authority to sign it.
        """
        if self.signing is None:
            raise ValueError("there is no authority to sign the gateway's certificate")
        return replace(self, serving=make_serving(self.signing, serving_names(namespace), now))

    def authority_manifest(self, namespace: str) -> JsonObject:
        """Return the Secret of the authority, which only the operator reads."""
        if self.signing is None:
            raise ValueError("there is no authority to write")
        data = {
            _CERTIFICATE: self.signing.certificate_pem(),
            _KEY: self.signing.key_pem(),
            _BUNDLE: _bundle(self.trusted),
        }
        if self.following is not None:
            data |= {_NEXT_CERTIFICATE: self.following.certificate_pem(), _NEXT_KEY: self.following.key_pem()}
        return _secret(namespace, CA_SECRET, "Opaque", data, self.versions[0])

    def serving_manifest(self, namespace: str) -> JsonObject:
        """Return the Secret that the gateway mounts."""
        if self.serving is None:
            raise ValueError("there is no certificate to write")
        data = {
            _CERTIFICATE: self.serving.certificate_pem(),
            _KEY: self.serving.key_pem(),
            _BUNDLE: _bundle(self.trusted),
        }
        return _secret(namespace, GATEWAY_TLS_SECRET, "kubernetes.io/tls", data, self.versions[1])


def make_authority(now: datetime) -> Pair:
    """Return a new authority that signs nothing but end certificates."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "AOS certificate authority")])
    certificate = (
        _begun(name, name, key, now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate, key)


def make_serving(authority: Pair, names: Sequence[str], now: datetime) -> Pair:
    """Return a new certificate for a server of these names."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "AOS gateway")])
    issuer = authority.certificate
    certificate = (
        _begun(subject, issuer.subject, key, now, min(SERVING_LIFE, issuer.not_valid_after_utc - now))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
        .sign(authority.key, hashes.SHA256())
    )
    return Pair(certificate, key)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _facts(certificate: x509.Certificate) -> CertificateFacts:
    names = _extension(certificate, x509.SubjectAlternativeName)
    issuer = _extension(certificate, x509.AuthorityKeyIdentifier)
    key_id = x509.SubjectKeyIdentifier.from_public_key(_public_key(certificate)).digest.hex()
    return CertificateFacts(
        key_id=key_id,
        issuer_key_id=issuer.key_identifier.hex() if issuer and issuer.key_identifier else "",
        not_before=certificate.not_valid_before_utc.astimezone(UTC),
        not_after=certificate.not_valid_after_utc.astimezone(UTC),
        names=frozenset(names.get_values_for_type(x509.DNSName)) if names else frozenset(),
    )


def _public_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("only certificates of elliptic curves are read")
    return key


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _pair(secret: JsonObject, certificate: str, key: str) -> Pair | None:
    return Pair.parse(_datum(secret, certificate), _datum(secret, key))


def _datum(secret: JsonObject, name: str) -> bytes:
    try:
        return base64.b64decode(text(child(secret, "data"), name), validate=True)
    except binascii.Error:
        return b""


def _certificates(bundle: bytes) -> tuple[x509.Certificate, ...]:
    try:
        parsed = x509.load_pem_x509_certificates(bundle)
    except ValueError:
        return ()
    return tuple(item for item in parsed if isinstance(item.public_key(), ec.EllipticCurvePublicKey))


def _bundle(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(item.public_bytes(serialization.Encoding.PEM) for item in certificates)


def _secret(namespace: str, name: str, type_: str, data: dict[str, bytes], version: str) -> JsonObject:
    metadata: JsonObject = {
        "name": name,
        "namespace": namespace,
        "labels": {LABEL_NAME: MANAGED_BY, LABEL_MANAGED_BY: MANAGED_BY, LABEL_PART_OF: MANAGED_BY},
    }
    if version:
        metadata["resourceVersion"] = version
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": type_,
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }
