"""What all unit tests have in common: they trust no authority of the machine, since they talk to nobody but themselves."""

import os
import tempfile
from functools import cache
from pathlib import Path

import pytest

from hack.shares import share_of
from tests.unit.gateway.certificates import Authority

_HERE = Path(__file__).parent
_VARIABLE = "SSL_CERT_FILE"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--share", metavar="I/N", help="run the tests of the Ith of N shares of the folders alone"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what is in no folder of the share: not even to be imported."""
    asked = config.getoption("--share", None)
    if asked is None:
        return None
    number, _, count = asked.partition("/")
    folders = _share(int(number), int(count))
    if collection_path.is_file():
        return None if collection_path.parent in folders else True
    return None if any(folder.is_relative_to(collection_path) for folder in folders) else True


@cache
def _share(number: int, count: int) -> frozenset[Path]:
    return share_of(_HERE, number, count)


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
