import pytest

from aos.model.approval_request import Verdict
from hack.demo.access import DemoError
from hack.demo.cli import judge, main
from hack.demo.proof import AccessLine, Decided, DecisionLine, Proof
from hack.demo.settings import RealModel, Settings

SCRIPTED = Settings(kubeconfig=None, image="localhost/aos:dev", builds_image=True, model=None)
REAL = Settings(
    kubeconfig=None,
    image="localhost/aos:dev",
    builds_image=True,
    model=RealModel("https://m/v1", "small", "k"),
)


def decision(action: str, effect: str) -> DecisionLine:
    return DecisionLine(task="t1", effect=effect, reason="R", outcome="O", action=action, tool="crm")


READ = decision("get_contact", "Allow")
EXPORT = decision("export_contacts", "Deny")


def test_a_cluster_of_somebody_elses_is_left_alone_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somewhere/kubeconfig")
    monkeypatch.delenv("AOS_DEMO_IMAGE", raising=False)
    assert main([]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: KUBECONFIG names /somewhere/kubeconfig")


def arrived(action: str) -> AccessLine:
    return AccessLine.model_validate(
        {
            "time": "2026-01-02T03:04:05Z",
            "method": "tools/call",
            "action": action,
            "status": 200,
            "credential": "sha256:0",
        }
    )


ARRIVED = (arrived("get_contact"),)
APPROVED = (Decided("update_contact", Verdict.APPROVE),)
REJECTED = (Decided("update_contact", Verdict.REJECT),)


def test_one_call_allowed_one_denied_and_one_approved_is_what_was_promised() -> None:
    judge(Proof((READ, EXPORT), (*ARRIVED, arrived("update_contact")), "sha256:0", APPROVED), SCRIPTED)


def test_a_person_may_say_no() -> None:
    judge(Proof((READ, EXPORT), ARRIVED, "sha256:0", REJECTED), SCRIPTED)


@pytest.mark.parametrize(("decided", "count"), [((), 0), (APPROVED * 2, 2)])
def test_not_exactly_one_call_that_waited_fails_the_demonstration(
    decided: tuple[Decided, ...], count: int
) -> None:
    reached = (*ARRIVED, *(arrived("update_contact"),) * count)
    with pytest.raises(DemoError, match=rf"one call should have waited for a person, and {count} did"):
        judge(Proof((READ, EXPORT), reached, "sha256:0", decided), SCRIPTED)


@pytest.mark.parametrize(
    ("decided", "count", "says"),
    [
        (APPROVED, 2, "approved 1 of 1 held calls of update_contact, and the CRM.s own log shows 2"),
        (APPROVED, 0, "approved 1 of 1 .* shows 0"),
        (REJECTED, 1, "approved 0 of 1 .* shows 1"),
    ],
)
def test_a_call_that_arrived_more_or_less_often_than_approved_fails_the_demonstration_whatever_the_model(
    decided: tuple[Decided, ...], count: int, says: str
) -> None:
    reached = (*ARRIVED, *(arrived("update_contact"),) * count)
    for settings in (SCRIPTED, REAL):
        with pytest.raises(DemoError, match=says):
            judge(Proof((READ, EXPORT), reached, "sha256:0", decided), settings)


@pytest.mark.parametrize("decisions", [(), (READ,), (EXPORT,)])
def test_a_script_that_did_not_do_its_part_fails_the_demonstration(
    decisions: tuple[DecisionLine, ...],
) -> None:
    with pytest.raises(DemoError, match="one allowed and one denied call"):
        judge(Proof(decisions, ARRIVED, "sha256:0"), SCRIPTED)


def test_calls_that_were_let_through_and_did_not_arrive_fail_the_demonstration() -> None:
    with pytest.raises(DemoError, match="none of the calls that the gateway let through"):
        judge(Proof((READ, EXPORT), (), "sha256:0"), SCRIPTED)


def test_a_real_model_need_not_try_what_policy_denies(capsys: pytest.CaptureFixture[str]) -> None:
    judge(Proof((READ,), ARRIVED, "sha256:0"), REAL)
    assert "small did not try anything that policy denies" in capsys.readouterr().err


def test_a_denied_call_that_arrived_fails_the_demonstration_whatever_the_model() -> None:
    with pytest.raises(DemoError, match="reached the CRM all the same"):
        judge(Proof((READ, EXPORT), (*ARRIVED, arrived("export_contacts")), "sha256:0"), REAL)
