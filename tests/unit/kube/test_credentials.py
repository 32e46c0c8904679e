"""Credentials from files, plugins and pods, read anew in time."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubernetes.aio import config
from kubernetes.aio.config import incluster_config

from aos.kube.credentials import REFRESH_SECONDS, Credentials, CredentialsError


class Now:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def authority(path: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    return path


def kubeconfig(folder: Path, user: dict[str, object], **cluster: object) -> Path:
    path = folder / "config"
    content = {
        "current-context": "one",
        "contexts": [
            {"name": "one", "context": {"cluster": "here", "user": "me"}},
            {"name": "two", "context": {"cluster": "there", "user": "me"}},
        ],
        "clusters": [
            {"name": "here", "cluster": {"server": "http://here:80/", **cluster}},
            {"name": "there", "cluster": {"server": "http://there:80"}},
        ],
        "users": [{"name": "me", "user": user}],
    }
    path.write_text(json.dumps(content))
    return path


async def token_of(credentials: Credentials) -> str:
    return (await credentials.headers()).get("authorization", "")


async def test_a_kubeconfig_gives_address_and_token(tmp_path: Path) -> None:
    credentials = await Credentials.load(kubeconfig(tmp_path, {"token": "abc"}))
    assert credentials.server == "http://here:80"
    assert await token_of(credentials) == "Bearer abc"


async def test_another_context_is_another_cluster(tmp_path: Path) -> None:
    credentials = await Credentials.load(kubeconfig(tmp_path, {"token": "abc"}), context="two")
    assert credentials.server == "http://there:80"


async def test_a_user_without_token_sends_none(tmp_path: Path) -> None:
    credentials = await Credentials.load(kubeconfig(tmp_path, {}))
    assert await credentials.headers() == {}


async def test_a_token_file_is_read_anew_after_a_minute(tmp_path: Path) -> None:
    now, file = Now(), tmp_path / "token"
    file.write_text("first\n")
    credentials = await Credentials.load(kubeconfig(tmp_path, {"tokenFile": str(file)}), clock=now)
    file.write_text("second\n")
    now.seconds = REFRESH_SECONDS - 1
    assert await token_of(credentials) == "Bearer first"
    now.seconds = REFRESH_SECONDS
    assert await token_of(credentials) == "Bearer second"


async def test_a_token_that_can_not_be_read_anew_stays_and_is_asked_for_again_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now, file = Now(), tmp_path / "token"
    file.write_text("first")
    credentials = await Credentials.load(kubeconfig(tmp_path, {"tokenFile": str(file)}), clock=now)
    file.unlink()
    now.seconds = REFRESH_SECONDS
    assert await token_of(credentials) == "Bearer first"
    assert "can't be read anew" in caplog.text
    file.write_text("second")
    now.seconds = REFRESH_SECONDS * 2
    assert await token_of(credentials) == "Bearer second"


def plugin(folder: Path, **status: object) -> dict[str, object]:
    """Return a user whose plugin counts its runs in its tokens."""
    script = folder / "plugin.py"
    script.write_text(
        "import json, pathlib\n"
        f"runs = pathlib.Path({str(folder / 'runs')!r})\n"
        "number = len(runs.read_text()) if runs.exists() else 0\n"
        "runs.write_text('x' * (number + 1))\n"
        f"status = {status!r} | {{'token': f'run-{{number}}'}}\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1',"
        " 'kind': 'ExecCredential', 'status': status}))\n"
    )
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": sys.executable, "args": [str(script)]}}


async def test_a_plugin_runs_again_only_once_its_token_expires(tmp_path: Path) -> None:
    now = Now()
    lasting = plugin(tmp_path, expirationTimestamp="2999-01-01T00:00:00Z")
    credentials = await Credentials.load(kubeconfig(tmp_path, lasting), clock=now)
    now.seconds = REFRESH_SECONDS
    assert await token_of(credentials) == "Bearer run-0"


async def test_a_plugin_whose_token_has_expired_runs_again_after_a_minute(tmp_path: Path) -> None:
    now = Now()
    expired = plugin(tmp_path, expirationTimestamp="2001-01-01T00:00:00Z")
    credentials = await Credentials.load(kubeconfig(tmp_path, expired), clock=now)
    assert await token_of(credentials) == "Bearer run-0"
    now.seconds = REFRESH_SECONDS
    assert await token_of(credentials) == "Bearer run-1"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/no/such/plugin"], "No such file or directory"),
        (
            ["sh", "-c", "echo usage: >&2; echo 'you can'\\''t: log in first' >&2; exit 3"],
            "failed: it ended with 3: you can't: log in first",
        ),
        (["sh", "-c", "exit 3"], "failed: process returned 3"),
        (["true"], "the plugin that gives credentials failed"),
    ],
)
async def test_a_plugin_that_fails_is_told_and_nobody_goes_on_as_nobody(
    tmp_path: Path, command: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = {"apiVersion": "client.authentication.k8s.io/v1", "command": command[0], "args": command[1:]}
    with pytest.raises(CredentialsError, match="config can't be used: the plugin") as caught:
        await Credentials.load(kubeconfig(tmp_path, {"exec": asked}))
    assert said in str(caught.value)
    assert capfd.readouterr().err == ""


async def test_callers_that_ask_at_once_read_credentials_anew_once(tmp_path: Path) -> None:
    now = Now()
    credentials = await Credentials.load(kubeconfig(tmp_path, plugin(tmp_path)), clock=now)
    await asyncio.gather(*[credentials.refresh() for _ in range(5)])
    assert await token_of(credentials) == "Bearer run-1"


async def test_an_authority_that_is_rotated_on_disk_brings_a_new_tls_context(tmp_path: Path) -> None:
    now, file = Now(), authority(tmp_path / "ca.crt", "one")
    path = kubeconfig(
        tmp_path, {"token": "abc"}, **{"server": "https://here", "certificate-authority": str(file)}
    )
    credentials = await Credentials.load(path, clock=now)
    first = credentials.tls
    now.seconds = REFRESH_SECONDS
    await credentials.headers()
    assert credentials.tls is first
    authority(file, "two")
    now.seconds = REFRESH_SECONDS * 2
    await credentials.headers()
    assert credentials.tls is not first
    assert "two" in str(credentials.tls.get_ca_certs())


async def test_a_pods_service_account_is_used_and_its_token_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, token = Now(), tmp_path / "token"
    token.write_text("first")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority(tmp_path / "ca.crt", "pod")))
    alone(tmp_path, monkeypatch)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    credentials = await Credentials.load(clock=now)
    assert credentials.server == "https://[fd00::1]:443"
    assert (await token_of(credentials)).lower() == "bearer first"
    token.write_text("second")
    now.seconds = REFRESH_SECONDS
    assert (await token_of(credentials)).lower() == "bearer second"


def alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the kubeconfig and the pod that the tests themselves may run with."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(config, "KUBE_CONFIG_DEFAULT_LOCATION", str(folder / "nothing"))


async def test_the_kubeconfig_that_the_environment_names_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(tmp_path, monkeypatch)
    path = kubeconfig(tmp_path, {"token": "abc"})
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{path}")
    assert (await Credentials.load()).server == "http://here:80"


async def test_nothing_configured_says_what_could_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(tmp_path, monkeypatch)
    with pytest.raises(CredentialsError, match="KUBECONFIG is not set, and this is no pod"):
        await Credentials.load()


async def test_a_kubeconfig_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="missing can't be used: there is no such file"):
        await Credentials.load(tmp_path / "missing")
    broken = tmp_path / "broken"
    for content in ("{", "[]", "", "a: b", '{"current-context": "x", "contexts": []}'):
        broken.write_text(content)
        with pytest.raises(CredentialsError, match="broken can't be used"):
            await Credentials.load(broken)


async def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="three"):
        await Credentials.load(kubeconfig(tmp_path, {}), context="three")
