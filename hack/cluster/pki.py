"""Keys and certificates of a local cluster: one authority, one serving certificate, one client certificate a user.

They protect a cluster on one machine that lives for hours; nothing here is fit for anything else.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hack.cluster.errors import ClusterError
from hack.cluster.files import write_atomically

_VALID_FOR = timedelta(days=3650)
_CLOCK_SKEW = timedelta(hours=1)
_SERVICE_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True)
class Credential:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True)
class Subject:
    """Whom a client certificate names: the user's name is the CN, each group an O (Kubernetes X509 client certs)."""

    user: str
    groups: tuple[str, ...] = ()


class Authority:
    """The certificate authority of one cluster."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        """Wrap an authority that exists; `create` makes a new one and `load` reads one."""
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls) -> "Authority":
        """Make a new self-signed authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "aos-local-cluster")])
        certificate = (
            _draft(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, folder: Path) -> "Authority":
        """Read the authority that `write` left in `folder`."""
        try:
            certificate = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
            key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
        except (OSError, ValueError) as problem:
            raise ClusterError(
                f"the cluster's certificate authority in {folder} cannot be read ({problem}): run `down`, then `up`"
            ) from problem
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ClusterError(f"{folder / 'ca.key'} is no elliptic-curve key: run `down`, then `up`")
        return cls(certificate, key)

    @property
    def certificate(self) -> bytes:
        """The authority's own certificate, PEM."""
        return _pem(self._certificate)

    def write(self, folder: Path) -> None:
        """Keep the authority in `folder`."""
        write_atomically(folder / "ca.key", _private(self._key), mode=0o600)
        write_atomically(folder / "ca.crt", self.certificate)

    def serving(self, names: Sequence[str], addresses: Sequence[str]) -> Credential:
        """Issue a certificate for servers at these DNS names and IP addresses."""
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
        return self._issue(name, ExtendedKeyUsageOID.SERVER_AUTH, x509.SubjectAlternativeName(alternatives))

    def client(self, subject: Subject) -> Credential:
        """Issue a certificate that the API server takes as this user in these groups."""
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in subject.groups]
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, subject.user))
        return self._issue(x509.Name(attributes), ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def _issue(
        self,
        name: x509.Name,
        purpose: x509.ObjectIdentifier,
        alternatives: x509.SubjectAlternativeName | None,
    ) -> Credential:
        key = ec.generate_private_key(ec.SECP256R1())
        draft = (
            _draft(name, self._certificate.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if alternatives is not None:
            draft = draft.add_extension(alternatives, critical=False)
        return Credential(_pem(draft.sign(self._key, hashes.SHA256())), _private(key))


@dataclass(frozen=True)
class Endpoints:
    """What the API server is reached by, and by which addresses it must prove itself."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]


def write_pki(folder: Path, endpoints: Endpoints) -> None:
    """Make all keys and certificates that the cluster's servers need, once; a second call changes nothing."""
    done = folder / "complete"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = Authority.create()
    authority.write(folder)
    names = ("localhost", *_SERVICE_NAMES, *endpoints.names)
    _write(folder, "serving", authority.serving(names, endpoints.addresses))
    kubelet_client = Subject("kube-apiserver-kubelet-client", ("aos:kubelet-clients",))
    _write(folder, "apiserver-kubelet", authority.client(kubelet_client))
    tokens = ec.generate_private_key(ec.SECP256R1())
    write_atomically(folder / "sa.key", _private(tokens), mode=0o600)
    write_atomically(folder / "sa.pub", _public(tokens.public_key()))
    write_atomically(done, "")


def _write(folder: Path, name: str, credential: Credential) -> None:
    write_atomically(folder / f"{name}.key", credential.key, mode=0o600)
    write_atomically(folder / f"{name}.crt", credential.certificate)


def _draft(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALID_FOR)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
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


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    # kube-controller-manager and kube-apiserver read SEC 1 and PKCS 8 alike.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
