"""A kubeconfig holds all that a client needs, and is its owner's alone."""

import base64
from pathlib import Path

import yaml

from hack.cluster.kubeconfig import file_of, mint, render
from hack.cluster.pki import Authority, Credential, Subject


def test_everything_is_inside() -> None:
    text = render("https://127.0.0.1:1", b"authority", "jane", Credential(b"certificate", b"key"))
    content = yaml.safe_load(text)
    assert content["current-context"] == content["contexts"][0]["name"]
    assert content["contexts"][0]["context"] == {"cluster": "aos", "user": "jane"}
    assert content["clusters"][0]["cluster"] == {
        "server": "https://127.0.0.1:1",
        "certificate-authority-data": base64.b64encode(b"authority").decode(),
    }
    assert base64.b64decode(content["users"][0]["user"]["client-key-data"]) == b"key"


def test_a_minted_file_is_its_owners_alone(tmp_path: Path) -> None:
    Authority.create().write(tmp_path)
    path = mint(tmp_path / "users" / "jane.kubeconfig", tmp_path, "https://x", Subject("jane", ("dev",)))
    assert path.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(path.read_text())["users"][0]["name"] == "jane"


def test_the_file_of_any_user_can_stand_in_a_list_of_files(tmp_path: Path) -> None:
    assert file_of(tmp_path, "jane@example.com") == tmp_path / "jane@example.com.kubeconfig"
    odd = [file_of(tmp_path, user) for user in ("system:node:one", "system/node/one", "../../etc", "a b")]
    assert all(path.parent == tmp_path and not set(path.name) & set(":/ ") for path in odd)
    assert len(set(odd)) == len(odd)
    assert mint_at(odd[0], "system:node:one") == "system:node:one"


def mint_at(path: Path, user: str) -> str:
    Authority.create().write(path.parent)
    mint(path, path.parent, "https://x", Subject(user))
    return str(yaml.safe_load(path.read_text())["users"][0]["name"])
