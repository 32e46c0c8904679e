"""``python -m hack.generate [--check]``: write the generated files, or fail if they differ from the code."""

import argparse
import sys
from pathlib import Path

from hack.generate.outputs import outputs

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Write or check every generated file; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file would change")
    check = parser.parse_args().check
    stale = [path for path, text in outputs().items() if _current(ROOT / path) != text]
    if check:
        for path in stale:
            print(f"{path} is not what the code says: run `make generate` and commit it", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(outputs()[path], encoding="utf-8")
        print(f"wrote {path}")
    return 0


def _current(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
