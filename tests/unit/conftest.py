"""What all unit tests have in common: they trust no authority of the machine, since they talk to nobody but themselves."""

import os
import tempfile

import pytest

from tests.unit.gateway.certificates import Authority

_VARIABLE = "SSL_CERT_FILE"


def pytest_configure(config: pytest.Config) -> None:
    """Let the machine's authorities be one that signs nothing: each TLS context would read all of them, for 25 ms."""
    stood = os.environ.get(_VARIABLE)
    nobody = tempfile.NamedTemporaryFile(prefix="aos-tests-", suffix=".crt")  # noqa: SIM115 - closed below
    nobody.write(Authority().certificate)
    nobody.flush()
    os.environ[_VARIABLE] = nobody.name

    def as_it_was() -> None:
        nobody.close()
        if stood is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = stood

    config.add_cleanup(as_it_was)
