"""Keys and certificates, verified as Python's own TLS verifies them."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from aos.controllers.authority import Kept, Pair, make_authority, make_serving
from aos.model.base import JsonObject
from aos.reconcile.certificates import Renewal, renewal, serving_names

NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = serving_names("aos-system")


def stored(manifest: JsonObject, version: str = "1") -> JsonObject:
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)
    return {**manifest, "metadata": {**metadata, "resourceVersion": version}}


def fresh() -> Kept:
    return Kept().with_new_authority(NOW).with_serving("aos-system", NOW)


def reread(kept: Kept) -> Kept:
    return Kept.parse(
        stored(kept.authority_manifest("aos-system")), stored(kept.serving_manifest("aos-system"))
    )


async def handshake(pair: Pair, bundle: str, name: str, folder: Path) -> None:
    """Connect to a server with this certificate as a client that trusts the bundle."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    certificate.write_bytes(pair.certificate_pem())
    key.write_bytes(pair.key_pem())
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(str(certificate), str(key))

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0, ssl=serving)
    async with server:
        port = server.sockets[0].getsockname()[1]
        trusting = ssl.create_default_context(cadata=bundle)
        trusting.verify_flags |= ssl.VERIFY_X509_STRICT
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=name)
        writer.close()


@pytest.mark.parametrize("name", NAMES)
async def test_a_client_that_trusts_the_bundle_accepts_every_name_of_the_gateway(
    name: str, tmp_path: Path
) -> None:
    kept = fresh()
    assert kept.serving is not None
    await handshake(kept.serving, kept.bundle(), name, tmp_path)


async def test_a_client_of_another_authority_accepts_nothing(tmp_path: Path) -> None:
    kept, other = fresh(), fresh()
    assert kept.serving is not None
    with pytest.raises(ssl.SSLCertVerificationError):
        await handshake(kept.serving, other.bundle(), NAMES[0], tmp_path)


def test_what_is_written_to_secrets_is_read_back() -> None:
    kept = fresh()
    again = reread(kept)
    assert again.observed().signing == kept.observed().signing
    assert again.observed().serving == kept.observed().serving
    assert again.bundle() == kept.bundle()
    assert again.versions == ("1", "1")
    assert renewal(again.observed(), "aos-system", NOW) == Renewal()


def test_after_a_change_over_every_authority_is_trusted_and_the_next_one_signs() -> None:
    prepared = reread(fresh().with_next_authority(NOW))
    assert prepared.following is not None
    assert len(prepared.trusted) == 2
    promoted = prepared.with_promoted_authority().with_serving("aos-system", NOW)
    signing = promoted.observed().signing
    serving = promoted.observed().serving
    assert signing is not None
    assert serving is not None
    assert signing.key_id == prepared.observed().following.key_id  # type: ignore[union-attr]
    assert serving.issuer_key_id == signing.key_id
    assert len(promoted.trusted) == 2
    assert "next.crt" not in promoted.authority_manifest("aos-system")["data"]  # type: ignore[operator]


async def test_a_pod_that_knows_only_the_last_authority_is_served_until_the_change_over(
    tmp_path: Path,
) -> None:
    first = fresh()
    prepared = first.with_next_authority(NOW)
    assert prepared.serving is not None
    await handshake(prepared.serving, first.bundle(), NAMES[0], tmp_path)
    promoted = prepared.with_promoted_authority().with_serving("aos-system", NOW)
    assert promoted.serving is not None
    await handshake(promoted.serving, prepared.bundle(), NAMES[0], tmp_path)


def test_expired_authorities_are_dropped() -> None:
    kept = fresh()
    assert kept.without_expired(NOW) == kept
    assert kept.without_expired(NOW + timedelta(days=6 * 365)).trusted == ()


@pytest.mark.parametrize("secret", [None, {}, {"data": {"tls.crt": "%%%"}}, {"data": {"tls.crt": "eA=="}}])
def test_secrets_that_hold_nothing_usable_count_as_missing(secret: JsonObject | None) -> None:
    observed = Kept.parse(secret, secret).observed()
    assert observed.signing is None
    assert observed.serving is None
    assert observed.trusted == ()


def test_a_key_that_does_not_belong_to_the_certificate_is_not_used() -> None:
    one, other = make_authority(NOW), make_authority(NOW)
    assert Pair.parse(one.certificate_pem(), other.key_pem()) is None
    foreign = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert Pair.parse(one.certificate_pem(), foreign) is None


def test_a_certificate_never_outlives_its_authority() -> None:
    late = NOW + timedelta(days=5 * 365 - 10)
    authority = make_authority(NOW)
    leaf = make_serving(authority, NAMES, late).certificate
    assert leaf.not_valid_after_utc <= authority.certificate.not_valid_after_utc


def test_keys_are_of_the_curve_p_256() -> None:
    assert isinstance(make_authority(NOW).key.curve, ec.SECP256R1)


def test_without_an_authority_nothing_is_signed_or_written() -> None:
    for attempt in (
        lambda: Kept().with_serving("aos-system", NOW),
        lambda: Kept().authority_manifest("aos-system"),
        lambda: Kept().serving_manifest("aos-system"),
    ):
        with pytest.raises(ValueError, match="there is no"):
            attempt()
