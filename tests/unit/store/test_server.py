from pathlib import Path

import pytest

from hack.cluster.errors import PrerequisiteError
from hack.postgres import programs
from hack.postgres.server import Server


def installed(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (folder / name).touch()


def test_the_newest_version_that_debian_installed_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_DEBIAN", tmp_path)
    for version in ("9", "17", "15"):
        installed(tmp_path / version / "bin")
    (tmp_path / "18/bin").mkdir(parents=True)
    assert programs.find() == tmp_path / "17/bin"


def test_without_postgresql_and_root_it_is_said_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> None:
        return None

    monkeypatch.setattr(programs, "find", absent)
    monkeypatch.setattr(programs, "_start_no_server", absent)
    monkeypatch.setattr(programs, "ensure_packages", lambda packages, why: None)
    with pytest.raises(PrerequisiteError, match="install PostgreSQL"):
        programs.ensure()


async def test_a_server_answers_over_its_socket_too(server: Server) -> None:
    import asyncpg

    connection = await asyncpg.connect(server.socket_url())
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
