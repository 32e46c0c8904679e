from pathlib import Path

import pytest

from aos.store.opening import open_store
from aos.store.postgres import PostgresStore
from aos.store.sqlite import SqliteStore


def test_the_url_says_which_backend() -> None:
    store = open_store("sqlite:///var/lib/aos/the%20store.db", "c")
    assert isinstance(store, SqliteStore)
    assert store._path == Path("/var/lib/aos/the store.db")
    with_one_more_slash = open_store("sqlite:////var/lib/aos/store.db", "c")
    assert isinstance(with_one_more_slash, SqliteStore)
    assert str(with_one_more_slash._path) == "/var/lib/aos/store.db"
    assert isinstance(open_store("postgresql://aos:secret@db/aos", "c"), PostgresStore)


@pytest.mark.parametrize(
    "url", ["", "store.db", "sqlite://", "sqlite:////", "sqlite://host/path", "mysql://u:secret@h/d"]
)
def test_any_other_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"a store is sqlite:///PATH or postgresql") as raised:
        open_store(url, "c")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("chain", ["", "c" * 254])
def test_a_chain_has_a_name_of_bounded_length(chain: str) -> None:
    with pytest.raises(ValueError, match="a chain's name has 1 to 253 characters"):
        open_store("sqlite:///store.db", chain)
