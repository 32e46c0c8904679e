"""The tables' history: ``BACKEND_N.sql`` leads from schema version N - 1 to N. Never changed once released."""

from pathlib import Path

from aos.store.interface import StoreRefusedError

_FOLDER = Path(__file__).parent


def migrations(backend: str) -> tuple[str, ...]:
    """Return the scripts for ``sqlite`` or ``postgres``, in order."""
    files = {int(file.stem.rpartition("_")[2]): file for file in _FOLDER.glob(f"{backend}_*.sql")}
    return tuple(files[number].read_text() for number in range(1, len(files) + 1))


def check_version(version: int, known: int) -> None:
    """Check that this program may use a store of this schema version.

    Raises:
        StoreRefusedError: a newer one wrote it.
    """
    if version > known:
        raise StoreRefusedError(
            f"the store has schema version {version}, and this program knows up to {known}: a newer AOS wrote it; run"
            " that version again, or give this one a store of its own"
        )
