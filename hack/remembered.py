"""Remembers runs that passed, each by a key over all that it could depend on, so that the very same need not run again.

Only what passed is remembered. What can't be read counts as never seen.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

MAX_AGE: Final = timedelta(days=7)
"""What no key sees, such as the clock and the network, is tried again after that."""
MAX_RECORDS: Final = 128


@dataclass(frozen=True)
class Passed:
    """One run that passed: when it ended, with its time zone, and how many seconds it took."""

    name: str
    at: str
    seconds: float


def key(fingerprint: str, command: Sequence[str]) -> str:
    """Return the name of one command with these inputs."""
    return hashlib.sha256(repr((fingerprint, tuple(command))).encode()).hexdigest()


def all_ran(report: Path, besides: str) -> bool:
    """Whether no test was skipped in a run, by pytest's XML of it; a reason to skip that has ``besides`` in it is allowed."""
    try:
        skipped = list(ET.parse(report).iter("skipped"))  # noqa: S314 - pytest wrote it just now
    except (OSError, ET.ParseError):
        return False
    return all(besides in one.get("message", "") for one in skipped)


class Memory:
    """Records in one folder, which needs not exist yet; several processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, key: str) -> Passed | None:
        """Return the run of this key that passed within ``MAX_AGE``; None if there is none that can be read."""
        try:
            read = json.loads(self._path(key).read_bytes())
            passed = Passed(str(read["name"]), str(read["at"]), float(read["seconds"]))
            age = datetime.now(UTC) - datetime.fromisoformat(passed.at)
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return passed if timedelta(0) <= age <= MAX_AGE else None

    def keep(self, key: str, name: str, seconds: float) -> None:
        """Remember that a run has just passed, and forget the oldest beyond ``MAX_RECORDS``."""
        passed = Passed(name, datetime.now(UTC).isoformat(), seconds)
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._folder, suffix=".draft", delete=False) as draft:
            json.dump(asdict(passed), draft)
        Path(draft.name).replace(self._path(key))
        self._forget()

    def _forget(self) -> None:
        dated = []
        for entry in os.scandir(self._folder):
            with suppress(FileNotFoundError):  # another process forgot it, or gave it its name
                dated.append((entry.stat().st_mtime, entry.path))
        for _, path in sorted(dated, reverse=True)[MAX_RECORDS:]:
            Path(path).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"
