"""``python -m hack.test [LAYER ...]``: run the layers of tests; stop where one fails.

Layers of one stage run at once, since most of the time of those with an API server goes by waiting for it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]

COVERAGE = (
    "--cov=aos.policy",
    "--cov-branch",
    "--cov-report=term-missing:skip-covered",
    "--cov-fail-under=100",
)
POLICY = "tests/unit/policy"


@dataclass(frozen=True)
class Run:
    """One run of pytest; coverage is measured where it counts alone, since it slows everything."""

    layer: str
    arguments: tuple[str, ...]


STAGES: tuple[tuple[Run, ...], ...] = (
    (
        # A file stays with one worker, since its fixtures are its own; in tests/cluster some folders do.
        Run("cluster", ("tests/cluster", "-n", "3", "--dist", "loadgroup")),
        Run("unit", (POLICY, *COVERAGE)),
        Run("unit", ("tests/unit", f"--ignore={POLICY}", "-n", "auto", "--dist", "loadfile")),
    ),
    (Run("e2e", ("tests/e2e",)),),
)
LAYERS = ("unit", "cluster", "e2e")


@dataclass
class Started:
    """A run that goes on; what it prints is held back, so that two runs do not mix."""

    run: Run
    process: "subprocess.Popen[bytes]"
    output: IO[bytes]
    started_at: float


def main(names: Sequence[str]) -> int:
    """Run the named layers, or all of them; return the exit code of the first that fails."""
    unknown = [name for name in names if name not in LAYERS]
    if unknown:
        print(f"no such layer: {', '.join(unknown)}; there are {', '.join(LAYERS)}", file=sys.stderr)
        return 2
    wanted = set(names or LAYERS)
    if "e2e" in wanted and _left_out():
        print("e2e: left out, since there is neither root, nor kind, nor a KUBECONFIG to run on", flush=True)
        wanted.discard("e2e")
    for stage in STAGES:
        runs = [run for run in stage if run.layer in wanted]
        code = _alone(runs[0]) if len(runs) == 1 else _together(runs)
        if code != 0:
            return code
    return 0


def _alone(run: Run) -> int:
    started_at = _announce(run)
    code = subprocess.run(_command(run), cwd=ROOT, check=False).returncode
    return _told(run, code, started_at)


def _together(runs: Sequence[Run]) -> int:
    """Run all to their end, so that one call shows all that fails; return the first code that is not zero."""
    started = [_start(run) for run in runs]
    try:
        codes = [_end(one) for one in started]
    finally:
        for one in started:
            one.process.terminate()
    return next((code for code in codes if code != 0), 0)


def _start(run: Run) -> Started:
    output = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _end
    started_at = _announce(run)
    process = subprocess.Popen(_command(run), cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    return Started(run, process, output, started_at)


def _end(one: Started) -> int:
    code = one.process.wait()
    with one.output as output:
        output.seek(0)
        print(output.read().decode(errors="replace"), end="", flush=True)
    return _told(one.run, code, one.started_at)


def _announce(run: Run) -> float:
    print(f"{run.layer}: running ({run.arguments[0]})", flush=True)
    return time.monotonic()


def _told(run: Run, code: int, started_at: float) -> int:
    outcome = "passed" if code == 0 else "FAILED"
    print(f"{run.layer}: {outcome} in {time.monotonic() - started_at:.0f} s ({run.arguments[0]})", flush=True)
    return code


def _command(run: Run) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", *run.arguments]


def _left_out() -> bool:
    """Whether the node's tests can't run; in CI they run, and fail, all the same."""
    able = os.geteuid() == 0 or os.environ.get("KUBECONFIG") or shutil.which("kind")
    return not able and os.environ.get("CI") != "true"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
