"""Packs static programs into OCI image archives (image-spec 1.1, image layout); equal input gives equal bytes."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hack.cluster.errors import ClusterError

_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """What an image holds: files by their absolute path, all executable, and how it starts."""

    name: str
    files: Mapping[str, bytes]
    entrypoint: tuple[str, ...]
    machine: str
    user: str = "65532:65532"
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": "/"})

    @property
    def architecture(self) -> str:
        """The machine as Go and OCI call it."""
        try:
            return _ARCHITECTURES[self.machine]
        except KeyError:
            raise ClusterError(
                f"no image can be made for {self.machine}: x86_64 and aarch64 are known"
            ) from None


@dataclass(frozen=True)
class _Blob:
    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.content).hexdigest()

    @property
    def path(self) -> str:
        return "blobs/" + self.digest.replace(":", "/")

    def descriptor(self) -> dict[str, object]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content)}


def archive(image: Image) -> bytes:
    """Give the archive; `ctr images import` and other OCI tools read it."""
    layer = _Blob(_LAYER, _layer(image.files))
    config = _Blob(_CONFIG, _json(_config(image, layer)))
    manifest = _Blob(
        _MANIFEST,
        _json(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": config.descriptor(),
                "layers": [layer.descriptor()],
            }
        ),
    )
    named = {
        **manifest.descriptor(),
        "platform": {"architecture": image.architecture, "os": "linux"},
        "annotations": _annotations(image.name),
    }
    members = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [named]}),
    }
    for blob in sorted((layer, config, manifest), key=lambda blob: blob.path):
        members[blob.path] = blob.content
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, content in members.items():
            _add(tar, path, content, mode=0o644)
    return stream.getvalue()


def pack(layout: Path, name: str, target: Path) -> None:
    """Write the one image of an OCI layout folder into an archive, under a name that container stores read."""
    index = json.loads((layout / "index.json").read_text())
    if len(index["manifests"]) != 1:
        raise ClusterError(
            f"{layout} holds {len(index['manifests'])} images, and one was expected: build again"
        )
    index["manifests"][0]["annotations"] = _annotations(name)
    draft = target.with_name(f".{target.name}")
    with tarfile.open(draft, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, "oci-layout", (layout / "oci-layout").read_bytes(), mode=0o644)
        _add(tar, "index.json", _json(index), mode=0o644)
        for blob in sorted((layout / "blobs").rglob("*")):
            if blob.is_file():
                tar.add(blob, arcname=str(blob.relative_to(layout)), filter=_plain)
    draft.replace(target)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member


def _annotations(name: str) -> dict[str, str]:
    return {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": name.rpartition(":")[2],
    }


def _config(image: Image, layer: _Blob) -> dict[str, object]:
    return {
        "architecture": image.architecture,
        "os": "linux",
        "config": {
            "Env": [f"{name}={value}" for name, value in sorted(image.environment.items())],
            "Entrypoint": list(image.entrypoint),
            "User": image.user,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "hack.cluster"}],
    }


def _layer(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    made: set[PurePosixPath] = set()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(files):
            relative = PurePosixPath(path.lstrip("/"))
            for parent in reversed(relative.parents[:-1]):
                if parent not in made:
                    made.add(parent)
                    _add(tar, str(parent), None, mode=0o755)
            _add(tar, str(relative), files[path], mode=0o755)
    return stream.getvalue()


def _add(tar: tarfile.TarFile, path: str, content: bytes | None, mode: int) -> None:
    member = tarfile.TarInfo(path)
    member.mode = mode
    member.mtime = 0
    if content is None:
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
        return
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
