"""Kubeconfig files: written for users of a local cluster, read to ask any cluster how it is."""

import base64
import hashlib
import re
from pathlib import Path

import yaml

from hack.cluster.files import write_atomically
from hack.cluster.pki import Authority, Credential, Subject

_UNFIT = re.compile(r"[^A-Za-z0-9_.@-]")


def render(server: str, authority: bytes, user: str, credential: Credential, cluster: str = "aos") -> str:
    """Write a kubeconfig with one cluster, one user and one context; everything it needs is inside."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "clusters": [
            {"name": cluster, "cluster": {"server": server, "certificate-authority-data": _base64(authority)}}
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _base64(credential.certificate),
                    "client-key-data": _base64(credential.key),
                },
            }
        ],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
    }
    return str(yaml.dump(content, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False))


def file_of(folder: Path, user: str) -> Path:
    """Name the file of a user's kubeconfig: whatever the user is called, `KUBECONFIG` can list it among others."""
    plain = _UNFIT.sub("_", user)
    # Two users whose names differ only in what is replaced are still two.
    told = plain if plain == user else f"{plain}-{hashlib.sha256(user.encode()).hexdigest()[:8]}"
    return folder / f"{told}.kubeconfig"


def mint(path: Path, pki: Path, server: str, subject: Subject) -> Path:
    """Write a kubeconfig at `path` for a user whom the authority in `pki` vouches for."""
    authority = Authority.load(pki)
    text = render(server, authority.certificate, subject.user, authority.client(subject))
    write_atomically(path, text, mode=0o600)
    return path


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
