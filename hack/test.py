"""``python -m hack.test [LAYER ...]``: run the layers of tests; what needs no node at once, since it waits for much of its time.

The node comes after that: beside everything else its programs are slow enough for their own time limits.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

ROOT = Path(__file__).resolve().parents[1]

POLICY: Final = "tests/unit/policy"
# Its tables cover all of it; properties show the same lines again, and take ten times as long with coverage.
COVERAGE: Final = (
    "-m",
    "not hypothesis",
    "--cov=aos.policy",
    "--cov-branch",
    "--cov-report=term-missing:skip-covered",
    "--cov-fail-under=100",
)

_LOOK_SECONDS: Final = 0.1
_HEARTBEAT_SECONDS: Final = 30.0
_TEAR_DOWN_SECONDS: Final = 60.0
_PERCENT: Final = re.compile(rb"\[ *(\d+)%\]")


@dataclass(frozen=True)
class Run:
    """One run of pytest."""

    name: str
    layer: str
    arguments: tuple[str, ...]


_SHARES: Final = max(2, min(4, os.cpu_count() or 1))
"""Into so many runs the unit tests are split: each loads the tests of its own folders alone."""
RUNS: tuple[Run, ...] = (
    # Each has one control plane, and its files come one after the other, since they act on what the whole cluster shares.
    Run("operators", "cluster", ("tests/cluster/operator",)),
    Run("cluster", "cluster", ("tests/cluster", "--ignore=tests/cluster/operator")),
    *(
        Run(
            f"unit {share} of {_SHARES}",
            "unit",
            ("tests/unit", f"--ignore={POLICY}", f"--share={share}/{_SHARES}"),
        )
        for share in range(1, _SHARES + 1)
    ),
    Run("properties of policies", "unit", (POLICY, "-m", "hypothesis")),
    Run("coverage of policies", "unit", (POLICY, *COVERAGE)),
)
# They wait for most of their time; tests/e2e/conftest.py says which files may run at once.
ON_THE_NODE: Final = Run("e2e", "e2e", ("tests/e2e", "-n", "3"))
LAYERS = ("unit", "cluster", "e2e")


@dataclass(frozen=True)
class Started:
    """A run that goes on; what it prints is held back, so that two runs do not mix."""

    run: Run
    process: "subprocess.Popen[bytes]"
    output: IO[bytes]
    started_at: float


def main(names: Sequence[str]) -> int:
    """Run the named layers, or all of them, to their end; return the code of the first run that fails."""
    unknown = [name for name in names if name not in LAYERS]
    if unknown:
        print(f"no such layer: {', '.join(unknown)}; there are {', '.join(LAYERS)}", file=sys.stderr)
        return 2
    wanted = set(names or LAYERS)
    if "e2e" in wanted and _left_out():
        print("e2e: left out, since there is neither root, nor kind, nor a KUBECONFIG to run on", flush=True)
        wanted.discard("e2e")
    runs = [run for run in RUNS if run.layer in wanted]
    codes = [_alone(runs[0]) if len(runs) == 1 else _together(runs)] if runs else []
    if ON_THE_NODE.layer in wanted:
        codes.append(_alone(ON_THE_NODE))
    return next((code for code in codes if code != 0), 0)


def _alone(run: Run) -> int:
    started_at = time.monotonic()
    code = subprocess.run(_command(run), cwd=ROOT, env=_environment(), check=False).returncode
    return _told(run, code, started_at)


def _together(runs: Sequence[Run]) -> int:
    print(f"running at once: {', '.join(run.name for run in runs)}", flush=True)
    going = [_start(run) for run in runs]
    codes: list[int] = []
    told_at = time.monotonic()
    try:
        while going:
            time.sleep(_LOOK_SECONDS)
            for one in [one for one in going if one.process.poll() is not None]:
                codes.append(_end(one))
                going.remove(one)
            if going and time.monotonic() - told_at > _HEARTBEAT_SECONDS:
                print(f"still running: {', '.join(_progress(one) for one in going)}", flush=True)
                told_at = time.monotonic()
    finally:
        _interrupt(going)
    return next((code for code in codes if code != 0), 0)


def _start(run: Run) -> Started:
    output = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _end
    process = subprocess.Popen(
        _command(run),
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        # A terminal's interrupt shall come once, from here: a second one would cut the tearing down short.
        process_group=0,
    )
    return Started(run, process, output, time.monotonic())


def _end(one: Started) -> int:
    with one.output as output:
        print(f"\n--- {one.run.name}\n{_printed(output).decode(errors='replace')}", end="", flush=True)
    return _told(one.run, one.process.returncode, one.started_at)


def _progress(one: Started) -> str:
    """Tell how far a run is: by pytest's last percentage; before there is one, by the last line."""
    printed = _printed(one.output)
    percent = _PERCENT.findall(printed)
    lines = printed.decode(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "begins")
    done = f"{int(percent[-1])} %" if percent else last[:60]
    return f"{one.run.name} ({done}, {time.monotonic() - one.started_at:.0f} s)"


def _printed(output: IO[bytes]) -> bytes:
    # The run writes at its own place in the file, so a reader must not move that.
    return os.pread(output.fileno(), os.fstat(output.fileno()).st_size, 0)


def _interrupt(going: Sequence[Started]) -> None:
    """Let what runs tear down what it has started."""
    for one in going:
        one.process.send_signal(signal.SIGINT)
    for one in going:
        try:
            one.process.wait(_TEAR_DOWN_SECONDS)
        except subprocess.TimeoutExpired:
            one.process.kill()


def _told(run: Run, code: int, started_at: float) -> int:
    outcome = "passed" if code == 0 else "FAILED"
    print(f"{run.name}: {outcome} in {time.monotonic() - started_at:.0f} s", flush=True)
    return code


def _command(run: Run) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", *run.arguments]


def _environment() -> dict[str, str]:
    """Let Python keep what it compiles: else each process would compile all tests and all of AOS anew."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _left_out() -> bool:
    """Whether the node's tests can't run; in CI they run, and fail, all the same."""
    able = os.geteuid() == 0 or os.environ.get("KUBECONFIG") or shutil.which("kind")
    return not able and os.environ.get("CI") != "true"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
