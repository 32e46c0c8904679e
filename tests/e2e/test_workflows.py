"""The four examples on a real node: runs across agents and people come to their right end, and their systems prove it."""

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from hack.demo.example import ALL, FINANCE, MARKETING, SALES, SUPPORT
from tests.e2e.installation import Installation, JsonObject, at
from tests.e2e.teams import Run, Teams

TOPIC = "moving a warehouse in a week"


def lead(company: str) -> JsonObject:
    return {"lead": {"company": company, "territory": "emea"}}


RUNS = (
    Run(SALES, "e2e-letter", lead("Puertavela Textiles")),
    Run(SALES, "e2e-letter-unwanted", lead("Sauvetar Analytics"), rejected_at="review"),
    Run(SUPPORT, "e2e-easy", {"ticket": "T-1004"}),
    Run(SUPPORT, "e2e-grave", {"ticket": "T-1003"}),
    Run(SUPPORT, "e2e-kept", {"ticket": "T-1005"}, rejected_at="people"),
    Run(MARKETING, "e2e-post", {"topic": TOPIC}),
    Run(MARKETING, "e2e-off-brand", {"topic": "our new robots", "claim": "Results are guaranteed."}),
    Run(MARKETING, "e2e-post-unwanted", {"topic": "our prices"}, rejected_at="approve"),
    Run(FINANCE, "e2e-pay", {"invoice": "INV-2001"}),
    Run(FINANCE, "e2e-pay-again", {"invoice": "INV-2001"}),
    Run(FINANCE, "e2e-pay-neighbour", {"invoice": "INV-2002"}),
    Run(FINANCE, "e2e-disputed", {"invoice": "INV-2003"}),
    Run(FINANCE, "e2e-differs", {"invoice": "INV-2004"}),
)
END_SECONDS = 240.0


@pytest.fixture(scope="module")
def teams(examples: Installation) -> Iterator[Teams]:
    """Every run, at its end."""
    made = Teams(examples, RUNS)
    made.start()
    made.work(END_SECONDS)
    yield made
    made.delete()


def test_sales_a_letter_goes_out_once_a_lead_has_agreed_to_it(teams: Teams) -> None:
    assert teams.reason("e2e-letter") == "Completed", teams.told("e2e-letter")
    assert teams.seen(SALES, "mail", "send_message").count("emea-0006") == 1
    assert set(teams.steps("e2e-letter").values()) == {"Succeeded"}


def test_sales_a_letter_that_nobody_wants_is_not_sent(teams: Teams) -> None:
    assert teams.reason("e2e-letter-unwanted") == "StepFailed", teams.told("e2e-letter-unwanted")
    assert "emea-0008" not in teams.seen(SALES, "mail", "send_message")


def test_sales_a_letter_that_somebody_sends_by_hand_is_denied(teams: Teams) -> None:
    """The policy lets the sender call for that step of the workflow alone."""
    aos = teams.aos
    aos.cancel("e2e-by-hand")
    letter: JsonObject = {"contactId": "emea-0009", "subject": "Hello", "body": "Dear Imogen"}
    aos.apply(
        {
            "apiVersion": "aos.dev/v1alpha1",
            "kind": "Task",
            "metadata": {"name": "e2e-by-hand", "namespace": SALES.name},
            "spec": {"agentRef": {"name": "sender"}, "input": {"letter": letter}},
        }
    )
    assert aos.ended("e2e-by-hand")["reason"] == "AgentFailed"
    assert "emea-0009" not in teams.seen(SALES, "mail", "send_message")
    aos.cancel("e2e-by-hand")


def test_support_an_easy_ticket_is_answered_and_what_it_says_to_machines_is_denied(teams: Teams) -> None:
    assert teams.reason("e2e-easy") == "Completed", teams.told("e2e-easy")
    assert teams.seen(SUPPORT, "tickets", "sendReply").count("T-1004") == 1
    assert teams.seen(SUPPORT, "tickets", "exportTickets") == []
    notes = [json.dumps(at(task, "status.result.output.notes")) for task in teams.tasks("e2e-easy")]
    assert any("rule no-export" in note for note in notes), notes


def test_support_a_grave_ticket_is_answered_once_two_people_agree(teams: Teams) -> None:
    assert teams.reason("e2e-grave") == "Completed", teams.told("e2e-grave")
    steps = teams.steps("e2e-grave")
    assert (steps["answer"], steps["people"], steps["answer_agreed"]) == ("Skipped", "Succeeded", "Succeeded")
    assert teams.seen(SUPPORT, "tickets", "sendReply").count("T-1003") == 1


def test_support_what_people_keep_for_themselves_is_not_answered(teams: Teams) -> None:
    assert teams.reason("e2e-kept") == "Completed", teams.told("e2e-kept")
    steps = teams.steps("e2e-kept")
    assert (steps["route"], steps["answer_agreed"]) == ("Succeeded", "Skipped")
    assert "T-1005" not in teams.seen(SUPPORT, "tickets", "sendReply")


def test_support_no_agent_is_told_who_wrote_a_ticket(teams: Teams) -> None:
    for name in ("e2e-easy", "e2e-grave", "e2e-kept"):
        told = json.dumps([at(task, "status.result") for task in teams.tasks(name)])
        assert "@" not in told
        assert "[redacted:pii]" in told


def test_marketing_what_people_agree_to_is_published_once_and_nothing_else_is(teams: Teams) -> None:
    assert teams.reason("e2e-post") == "Completed", teams.told("e2e-post")
    assert teams.reason("e2e-off-brand") == "Completed", teams.told("e2e-off-brand")
    assert teams.reason("e2e-post-unwanted") == "StepFailed", teams.told("e2e-post-unwanted")
    page, off_brand, unwanted = (
        next(
            str(at(task, "status.result.output.page"))
            for task in teams.tasks(name)
            if at(task, "spec.run.step") == "draft"
        )
        for name in ("e2e-post", "e2e-off-brand", "e2e-post-unwanted")
    )
    drafts = (page, off_brand, unwanted)
    published = teams.seen(MARKETING, "cms", "publish_page")
    assert [published.count(draft) for draft in drafts] == [1, 0, 0]
    discarded = teams.seen(MARKETING, "cms", "discard_draft")
    assert [discarded.count(draft) for draft in drafts] == [0, 0, 1]
    assert teams.steps("e2e-off-brand")["publish"] == "Skipped"


def posted(teams: Teams) -> Counter[str]:
    """How many entries of the ledger stand for each invoice."""
    query = (
        "SELECT invoice FROM entry WHERE reverses IS NULL"
        " AND id NOT IN (SELECT reverses FROM entry WHERE reverses IS NOT NULL)"
    )
    return Counter(str(invoice) for [invoice] in teams.rows(FINANCE, "ledger", query))


def test_finance_an_invoice_is_posted_once_whoever_else_posts_it_or_to_its_account(teams: Teams) -> None:
    for name in ("e2e-pay", "e2e-pay-again", "e2e-pay-neighbour"):
        assert teams.reason(name) == "Completed", teams.told(name)
    standing = posted(teams)
    assert [standing[invoice] for invoice in ("INV-2001", "INV-2002")] == [1, 1]


def test_finance_a_posting_waits_for_two_people(teams: Teams) -> None:
    [post] = [task for task in teams.tasks("e2e-pay-neighbour") if has_posted(task)]
    requests = teams.aos.items(
        "approvalrequests", f"aos.dev/task={at(post, 'metadata.name')}", namespace=FINANCE.name
    )
    assert {at(one, "status.need") for one in requests} == {2}


def has_posted(task: JsonObject) -> bool:
    return at(task, "status.result.output.posted") is True


def test_finance_what_can_not_be_closed_is_reversed(teams: Teams) -> None:
    assert teams.reason("e2e-disputed") == "StepFailed", teams.told("e2e-disputed")
    assert teams.steps("e2e-disputed")["reverse"] == "Succeeded"
    entries = teams.rows(FINANCE, "ledger", "SELECT reverses IS NULL FROM entry WHERE invoice = 'INV-2003'")
    assert sorted(entries) == [[0], [1]]
    moved = "SELECT sum(debit - credit) FROM line JOIN entry ON entry = id WHERE invoice = 'INV-2003' GROUP BY account"
    assert teams.rows(FINANCE, "ledger", moved) == [[0], [0]]


def test_finance_what_does_not_agree_to_the_cent_is_not_posted(teams: Teams) -> None:
    assert teams.reason("e2e-differs") == "Completed", teams.told("e2e-differs")
    assert "INV-2004" not in teams.seen(FINANCE, "ledger", "post_entry")
    assert at(teams.status("e2e-differs"), "status.output.differenceCents") == -1000


def test_every_example_is_tested() -> None:
    assert {run.team.name for run in RUNS} == set(ALL)
