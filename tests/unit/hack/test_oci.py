"""An image archive is an OCI image layout, and equal input gives equal bytes."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from hack.cluster.errors import ClusterError
from hack.cluster.oci import Image, archive, pack

IMAGE = Image(
    name="aos.local/probe:1",
    files={"/usr/bin/probe": b"program", "/usr/etc/x": b"y"},
    entrypoint=("/usr/bin/probe",),
    machine="x86_64",
)


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {member.name: tar.extractfile(member) for member in tar}
        return {name: stream.read() for name, stream in found.items() if stream is not None}


def blob(found: dict[str, bytes], digest: str) -> bytes:
    return found["blobs/" + digest.replace(":", "/")]


def test_equal_input_gives_equal_bytes() -> None:
    assert archive(IMAGE) == archive(IMAGE)


def test_every_blob_is_named_by_its_content_and_reached_from_the_index() -> None:
    found = members(archive(IMAGE))
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    for path, content in found.items():
        if path.startswith("blobs/"):
            assert path == "blobs/sha256/" + hashlib.sha256(content).hexdigest()
    (described,) = json.loads(found["index.json"])["manifests"]
    manifest = json.loads(blob(found, described["digest"]))
    config = json.loads(blob(found, manifest["config"]["digest"]))
    assert described["size"] == len(blob(found, described["digest"]))
    assert described["annotations"]["io.containerd.image.name"] == "aos.local/probe:1"
    assert described["platform"] == {"architecture": "amd64", "os": "linux"}
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    assert config["config"]["Entrypoint"] == ["/usr/bin/probe"]
    assert config["config"]["User"] == "65532:65532"


def test_the_layer_holds_each_folder_once_and_programs_that_run() -> None:
    found = members(archive(IMAGE))
    (described,) = json.loads(found["index.json"])["manifests"]
    layer = blob(found, json.loads(blob(found, described["digest"]))["layers"][0]["digest"])
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert [(member.name, member.isdir()) for member in tar] == [
            ("usr", True),
            ("usr/bin", True),
            ("usr/bin/probe", False),
            ("usr/etc", True),
            ("usr/etc/x", False),
        ]
        assert {member.mode for member in tar} == {0o755}
        assert {(member.uid, member.mtime) for member in tar} == {(0, 0)}


def test_an_unknown_machine_is_refused_by_name() -> None:
    with pytest.raises(ClusterError, match="riscv64"):
        archive(Image("x:1", {}, (), "riscv64"))


def layout(folder: Path, manifests: list[dict[str, str]]) -> Path:
    (folder / "blobs" / "sha256").mkdir(parents=True)
    (folder / "blobs" / "sha256" / "abc").write_bytes(b"blob")
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))
    return folder


def test_a_layout_is_packed_under_the_name_that_was_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "image.tar"
    pack(layout(tmp_path / "layout", [{"digest": "sha256:abc"}]), "localhost/aos:dev", target)
    found = members(target.read_bytes())
    assert found["blobs/sha256/abc"] == b"blob"
    (described,) = json.loads(found["index.json"])["manifests"]
    assert described["annotations"] == {
        "io.containerd.image.name": "localhost/aos:dev",
        "org.opencontainers.image.ref.name": "dev",
    }


def test_a_layout_with_two_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="2 images"):
        pack(layout(tmp_path / "layout", [{}, {}]), "x:1", tmp_path / "image.tar")
