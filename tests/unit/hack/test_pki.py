"""What the cluster's certificates say, and who may read its keys."""

import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hack.cluster.errors import ClusterError
from hack.cluster.pki import Authority, Endpoints, Subject, write_pki

ENDPOINTS = Endpoints(names=("node1",), addresses=("127.0.0.1", "10.96.0.1"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    write_pki(folder, ENDPOINTS)
    return folder


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_authority_signs_certificates_and_nothing_below_it_does(folder: Path) -> None:
    authority = certificate(folder / "ca.crt")
    serving = certificate(folder / "serving.crt")
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not serving.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    serving.verify_directly_issued_by(authority)


def test_the_server_proves_itself_by_every_name_and_address(folder: Path) -> None:
    names = (
        certificate(folder / "serving.crt")
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert {"localhost", "node1", "kubernetes.default.svc"} <= set(names.get_values_for_type(x509.DNSName))
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address(address) for address in ENDPOINTS.addresses
    ]


def test_a_client_certificate_names_the_user_and_each_group(folder: Path) -> None:
    credential = Authority.load(folder).client(Subject("jane", ("dev", "ops")))
    issued = x509.load_pem_x509_certificate(credential.certificate)
    assert [name.value for name in issued.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["jane"]
    groups = issued.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert [name.value for name in groups] == ["dev", "ops"]
    usage = issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    issued.verify_directly_issued_by(certificate(folder / "ca.crt"))


def test_only_the_owner_reads_a_key(folder: Path) -> None:
    keys = list(folder.glob("*.key"))
    assert {key.name for key in keys} == {"ca.key", "serving.key", "apiserver-kubelet.key", "sa.key"}
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}


def test_a_second_call_changes_nothing(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_pki(folder, Endpoints(names=("other",), addresses=("192.0.2.1",)))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_keys_that_were_half_written_are_made_anew(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_text("torn")
    write_pki(tmp_path, ENDPOINTS)
    Authority.load(tmp_path)


def test_an_authority_that_cannot_be_read_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"cannot be read .* run `down`, then `up`"):
        Authority.load(tmp_path)


def test_an_authority_with_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    Authority.create().write(tmp_path)
    other = Authority.create()
    other.write(tmp_path)
    assert isinstance(other._key, ec.EllipticCurvePrivateKey)
    (tmp_path / "ca.key").write_text("no key")
    with pytest.raises(ClusterError):
        Authority.load(tmp_path)
