"""``python -m hack.verify``: every check that is not a test, all of them run, the failed ones named at the end."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Check:
    """One check: its name and what it runs."""

    name: str
    run: Callable[[], bool]


def main() -> int:
    """Run every check; return 0 if all passed."""
    failed = [check.name for check in CHECKS if not _reported(check)]
    if failed:
        print(f"verify failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _reported(check: Check) -> bool:
    started = time.monotonic()
    passed = check.run()
    print(f"{'ok  ' if passed else 'FAIL'} {check.name} ({time.monotonic() - started:.1f} s)", flush=True)
    return passed


def _program(*command: str) -> Callable[[], bool]:
    def run() -> bool:
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            print(done.stdout + done.stderr)
        return done.returncode == 0

    return run


def _tree_is_clean() -> bool:
    """Whether all there is has been committed or is staged for the next commit."""
    done = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loose = [line for line in done.stdout.splitlines() if line[1] != " "]
    for line in loose:
        print(f"neither committed nor staged: {line[3:]}")
    return not loose


def _operator_is_no_package() -> bool:
    """`operator` is a module of the standard library: a package of that name would hide it."""
    found = [
        path for path in ("operator/__init__.py", "tests/operator/__init__.py") if (ROOT / path).exists()
    ]
    for path in found:
        print(f"{path} must not exist: it would hide the standard library's operator")
    return not found


CHECKS = (
    Check("format", _program("ruff", "format", "--check", ".")),
    Check("lint", _program("ruff", "check", ".")),
    Check("types", _program("mypy", "--num-workers=auto")),
    Check("layers", _program("lint-imports")),
    Check("generated files", _program("python", "-m", "hack.generate", "--check")),
    Check("operator/ is no package", _operator_is_no_package),
    Check("clean tree", _tree_is_clean),
)

if __name__ == "__main__":
    sys.exit(main())
