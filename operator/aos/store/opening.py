"""Which store a URL means."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from aos.store.interface import Store
from aos.store.postgres import PostgresStore
from aos.store.settings import StoreSettings
from aos.store.sqlite import SqliteStore

_DEFAULTS = StoreSettings()


def open_store(url: str, chain: str, settings: StoreSettings = _DEFAULTS) -> Store:
    """Return the store that ``url`` names, not opened yet.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql://...``.
        chain: name of the audit chain that this process writes: a new one with each start.
        settings: bounds.

    Raises:
        ValueError: the URL names neither.
    """
    if not chain or len(chain) > MAX_CHAIN_LENGTH:
        raise ValueError(f"a chain's name has 1 to {MAX_CHAIN_LENGTH} characters, not {len(chain)}")
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and not parts.netloc and parts.path.strip("/"):
        # With a fourth slash, as some write absolute paths, it is the same file: "//" would begin a host in SQLite's own URIs.
        return SqliteStore(Path("/" + unquote(parts.path).lstrip("/")), chain, settings)
    if parts.scheme in {"postgresql", "postgres"}:
        return PostgresStore(url, chain, settings)
    # The URL may hold a password: it is not repeated.
    raise ValueError(
        f"a store is sqlite:///PATH or postgresql://..., not a URL with the scheme {parts.scheme!r}"
    )


MAX_CHAIN_LENGTH = 253
"""A pod's name and more; a chain's name stands in every row's hash."""
