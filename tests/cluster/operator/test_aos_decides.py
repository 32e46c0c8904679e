"""``aos`` as people use it, with a real operator that counts and all the admission policies that hold."""

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from tests.cluster.operator.approvals import LEADS, STAFF, Desk
from tests.cluster.operator.rig import Rig
from tests.cluster.operator.test_approvals import Office

AOS = Path(sys.executable).parent / "aos"


@pytest.fixture
async def office(running: Rig, desk: Desk) -> Office:
    one = Office(running, desk)
    await one.open()
    return one


async def aos(office: Office, person: str, *arguments: str) -> tuple[int | None, str, str]:
    """Run a command as one of the leads; return its code, and what it said."""
    rig = office.rig
    kubeconfig = office.desk.folder / f"{person}.kubeconfig"
    if not kubeconfig.exists():
        shutil.copyfile(rig.cluster.user(person, LEADS, STAFF, "system:authenticated"), kubeconfig)
    process = await asyncio.create_subprocess_exec(
        AOS,
        *("--kubeconfig", str(kubeconfig), "-n", rig.namespace, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_two_people_decide_and_the_second_word_approves(office: Office) -> None:
    await office.ask(quorums=[{"rule": "outbound", "required": 2, "approvers": {"groups": [LEADS]}}])
    await office.counted()
    assert await aos(office, "grace", "approve", "apr-1", "--yes", "--wait", "60s") == (
        0,
        f"apr-1 approved: 1 of 2; still needs 1 more by group {LEADS}\n",
        "",
    )
    assert await aos(office, "linus", "approve", "apr-1", "--yes", "--wait", "60s") == (
        0,
        "apr-1 approved: 2 of 2; the call is let through once\n",
        "",
    )
    await office.becomes("Approved")


async def test_a_rejection_is_final_and_says_so(office: Office) -> None:
    await office.ask()
    await office.counted()
    code, out, _ = await aos(office, "grace", "reject", "apr-1", "--yes", "--wait", "60s", "-m", "not agreed")
    assert (code, out) == (0, "apr-1 rejected: Rejected\n")
    code, _, err = await aos(office, "linus", "approve", "apr-1", "--yes")
    assert code == 1
    assert "it can't be decided any more: Rejected" in err
