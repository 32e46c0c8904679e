"""What all layers have in common: their files are in memory, and the garbage collector does not look through all that was imported again and again."""

import gc
import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - pytest makes a folder of its own in it, as it does in /tmp
_ROOM_BYTES: Final = 4 * 1024**3


def pytest_configure() -> None:
    """Put what the tests write into memory where there is room: on a disk, most of their time goes with waiting for it.

    Programs that are killed leave as much in either; none of the tests takes the machine's power away.
    """
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Find the tests without the collector: all that is made meanwhile stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
