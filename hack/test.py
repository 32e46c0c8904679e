"""``python -m hack.test [LAYER ...]``: run the layers of tests; what needs no node at once, since it waits for much of its time.

The node comes after that: beside everything else its programs are slow enough for their own time limits.
A run that passed before with the very same inputs is not repeated, but for CI and with ``FRESH=1``.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final

from hack import remembered
from hack.cluster import packages, session
from hack.cluster.errors import ClusterError
from hack.cluster.paths import Paths
from hack.cluster.source import docker_answers
from hack.inputs import fingerprint
from hack.postgres import programs
from hack.remembered import Memory

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

MEMORY: Final = Memory(ROOT / ".cache/tests")
NOT_THEIRS: Final = "a cluster stood before these tests"
"""So the node's tests begin the reason why those that would break it are skipped: whether one stands is part of the key."""
_AGAIN: Final = "FRESH"
_SOMEBODY_ELSES: Final = ("KUBECONFIG", "AOS_E2E_POSTGRES_URL")
"""Variables that name what the node's tests run on, and whose state nobody here knows."""


@dataclass(frozen=True)
class Attempt:
    """A run that is due: where pytest's report of it goes, and by what it is remembered if it passes; None: by nothing."""

    run: Run
    report: Path
    key: str | None

    @property
    def command(self) -> list[str]:
        """What is run."""
        return [*_command(self.run), f"--junitxml={self.report}"]


@dataclass(frozen=True)
class Started:
    """A run that goes on; what it prints is held back, so that two runs do not mix."""

    attempt: Attempt
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
    _prepare(wanted)
    codes = _run([run for run in RUNS if run.layer in wanted])
    if ON_THE_NODE.layer in wanted:
        codes += _run([ON_THE_NODE])
    return next((code for code in codes if code != 0), 0)


def _prepare(layers: Collection[str]) -> None:
    """Install and build what the layers need: a test that did so would change what others depend on.

    What stands in the way the tests will say.
    """
    if "unit" in layers:
        with suppress(ClusterError):
            programs.ensure()
    if "cluster" in layers:
        with suppress(ClusterError):
            session.prepare(control_plane=True)
    if "e2e" in layers:
        named = os.environ.get("KUBECONFIG")
        with suppress(ClusterError):
            session.prepare(control_plane=False, kubeconfig=Path(named) if named else None)
            programs.ensure()
            if not docker_answers():
                packages.ensure_packages(packages.BUILD_IMAGES, "to build images without a Docker engine")


def _run(runs: Sequence[Run]) -> list[int]:
    """Run those that have not passed with these inputs before; return their codes."""
    inputs = _inputs()
    with TemporaryDirectory() as reports:
        attempts = [
            Attempt(run, Path(reports) / f"{place}.xml", _key(run, inputs)) for place, run in enumerate(runs)
        ]
        due = [attempt for attempt in attempts if not _passed_before(attempt)]
        return [_alone(due[0])] if len(due) == 1 else _together(due)


def _inputs() -> str | None:
    """Sum up what runs depend on; None where they are not remembered."""
    if os.environ.get("CI") == "true":
        return None
    built = sorted(Paths.from_environment().programs.glob("[!.]*/"))
    return fingerprint(ROOT, _environment(), built, frozenset({_AGAIN}))


def _key(run: Run, inputs: str | None) -> str | None:
    on_the_node = run.layer == ON_THE_NODE.layer
    if inputs is None or (on_the_node and any(name in os.environ for name in _SOMEBODY_ELSES)):
        return None
    where = (Paths.from_environment().node.exists(), docker_answers()) if on_the_node else ()
    return remembered.key(inputs, [*_command(run), *map(str, where)])


def _passed_before(attempt: Attempt) -> bool:
    if attempt.key is None or os.environ.get(_AGAIN):
        return False
    passed = MEMORY.recall(attempt.key)
    if passed is None:
        return False
    at = datetime.fromisoformat(passed.at).astimezone()
    print(
        f"{attempt.run.name}: passed before with these very inputs ({at:%Y-%m-%d %H:%M}, {passed.seconds:.0f} s); "
        f"{_AGAIN}=1 runs it again",
        flush=True,
    )
    return True


def _remember(attempt: Attempt, seconds: float) -> None:
    """Remember a run that passed, unless its inputs changed meanwhile or it left out what another machine would run."""
    if (
        attempt.key is None
        or attempt.key != _key(attempt.run, _inputs())
        or not remembered.all_ran(attempt.report, NOT_THEIRS)
    ):
        return
    with suppress(OSError):
        MEMORY.keep(attempt.key, attempt.run.name, seconds)


def _alone(attempt: Attempt) -> int:
    started_at = time.monotonic()
    code = subprocess.run(attempt.command, cwd=ROOT, env=_environment(), check=False).returncode
    return _told(attempt, code, started_at)


def _together(attempts: Sequence[Attempt]) -> list[int]:
    if attempts:
        print(f"running at once: {', '.join(attempt.run.name for attempt in attempts)}", flush=True)
    going = [_start(attempt) for attempt in attempts]
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
    return codes


def _start(attempt: Attempt) -> Started:
    output = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _end
    process = subprocess.Popen(
        attempt.command,
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        # A terminal's interrupt shall come once, from here: a second one would cut the tearing down short.
        process_group=0,
    )
    return Started(attempt, process, output, time.monotonic())


def _end(one: Started) -> int:
    with one.output as output:
        print(
            f"\n--- {one.attempt.run.name}\n{_printed(output).decode(errors='replace')}", end="", flush=True
        )
    return _told(one.attempt, one.process.returncode, one.started_at)


def _progress(one: Started) -> str:
    """Tell how far a run is: by pytest's last percentage; before there is one, by the last line."""
    printed = _printed(one.output)
    percent = _PERCENT.findall(printed)
    lines = printed.decode(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "begins")
    done = f"{int(percent[-1])} %" if percent else last[:60]
    return f"{one.attempt.run.name} ({done}, {time.monotonic() - one.started_at:.0f} s)"


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


def _told(attempt: Attempt, code: int, started_at: float) -> int:
    seconds = time.monotonic() - started_at
    print(f"{attempt.run.name}: {'passed' if code == 0 else 'FAILED'} in {seconds:.0f} s", flush=True)
    if code == 0:
        _remember(attempt, seconds)
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
