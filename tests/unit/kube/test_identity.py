import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aos.kube.identity import identity_in_pod

HOLD = """
import signal, sys
from pathlib import Path
from aos.kube.identity import identity_in_pod
with identity_in_pod("7c9e6679", Path(sys.argv[1])) as identity:
    print(identity, flush=True)
    signal.pause()
"""


def names(folder: Path, *pod_uids: str) -> list[str]:
    found = []
    for pod_uid in pod_uids:
        with identity_in_pod(pod_uid, folder) as identity:
            found.append(identity)
    return found


def test_who_begins_again_in_a_pod_is_who_was_there(tmp_path: Path) -> None:
    first, second, elsewhere = names(tmp_path, "7c9e6679", "7c9e6679", "16fd2706")
    assert first == second
    assert first.endswith("_7c9e6679")
    assert elsewhere != first


def test_two_that_live_in_one_pod_are_not_the_same(tmp_path: Path) -> None:
    with identity_in_pod("7c9e6679", tmp_path) as first, identity_in_pod("7c9e6679", tmp_path) as second:
        assert first != second
    assert names(tmp_path, "7c9e6679") == [first]


def test_who_was_killed_holds_its_name_no_longer(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        killed = process.stdout.readline().strip()
        assert names(tmp_path, "7c9e6679") != [killed]
        process.send_signal(signal.SIGKILL)
    assert names(tmp_path, "7c9e6679") == [killed]


def test_outside_of_a_pod_nobody_is_who_was_there(tmp_path: Path) -> None:
    first, second = names(tmp_path, "", "")
    assert first != second


def test_without_a_folder_to_share_nobody_is_who_was_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = names(tmp_path / "none", "7c9e6679", "7c9e6679")
    assert first != second
    assert "does not lead in its pod's name" in caplog.text
