"""People of the demonstration: real users of the cluster, by client certificates that its own signer makes."""

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hack.cluster.files import write_atomically
from hack.cluster.kubectl import Kubectl, wait_until
from hack.demo.access import Access, DemoError

VALID_SECONDS: Final = 86_400
SIGNING_SECONDS: Final = 30.0
_SIGNER: Final = "kubernetes.io/kube-apiserver-client"
_EVERYBODY: Final = "system:authenticated"


@dataclass(frozen=True, slots=True)
class Person:
    """A user as the API server knows them.

    Attributes:
        name: the certificate's common name.
        groups: its organizations.
    """

    name: str
    groups: tuple[str, ...]


def kubeconfig_of(access: Access, person: Person) -> Path:
    """Return a kubeconfig of ``person``; one that the cluster still takes is used again.

    Raises:
        DemoError: the cluster did not sign in time.
    """
    path = _folder(access) / f"{person.name}.kubeconfig"
    if not (path.exists() and _is_taken(access, path, person)):
        write_atomically(path, _made(access, person), mode=0o600)
    return path


def _folder(access: Access) -> Path:
    """Beside the administrator's, so that they go together; not into the folders of somebody else's cluster."""
    own = access.handle.kubeconfig.parent
    state = access.paths.state
    return own if state in own.parents else state / "demo"


def _is_taken(access: Access, path: Path, person: Person) -> bool:
    answer = Kubectl(access.handle.program, path, access.handle.cache).run("auth", "whoami", "-o", "json")
    if not answer.ok:
        return False
    user = json.loads(answer.stdout)["status"]["userInfo"]
    return bool(user["username"] == person.name and {*user["groups"]} == {*person.groups, _EVERYBODY})


def _made(access: Access, person: Person) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _signed(access, _request(person, key))
    shown = access.kubectl.must("config", "view", "--minify", "--flatten", "--raw", "-o", "json")
    [cluster] = json.loads(shown)["clusters"]
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    user = {"client-certificate-data": certificate, "client-key-data": base64.b64encode(private).decode()}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": person.name,
        "clusters": [cluster],
        "users": [{"name": person.name, "user": user}],
        "contexts": [
            {"name": person.name, "context": {"cluster": cluster["name"], "user": person.name}},
        ],
    }
    return yaml.safe_dump(content, sort_keys=False)


def _request(person: Person, key: ec.EllipticCurvePrivateKey) -> bytes:
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in person.groups]
    names.append(x509.NameAttribute(NameOID.COMMON_NAME, person.name))
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def _signed(access: Access, request: bytes) -> str:
    """Have the cluster's signer answer ``request``, as its administrator may; return the certificate in base64."""
    name = f"aos-demo-{secrets.token_hex(4)}"
    manifest = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(request).decode(),
            "signerName": _SIGNER,
            "usages": ["client auth"],
            "expirationSeconds": VALID_SECONDS,
        },
    }
    kubectl = access.kubectl
    kubectl.must("create", "-f", "-", stdin=json.dumps(manifest))
    try:
        kubectl.must("certificate", "approve", name)
        certificate = ""

        def is_signed() -> bool:
            nonlocal certificate
            certificate = kubectl.must("get", "csr", name, "-o", "jsonpath={.status.certificate}")
            return bool(certificate)

        if not wait_until(is_signed, SIGNING_SECONDS, every_seconds=0.2):
            raise DemoError(
                f"the cluster did not sign a certificate within {SIGNING_SECONDS:g} s: its controller manager must run"
                f" the signer {_SIGNER}"
            )
        return certificate
    finally:
        kubectl.run("delete", "csr", name, "--ignore-not-found")
