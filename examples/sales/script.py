"""What the scripted model plays for the agents of the sales example."""

from collections.abc import Callable, Mapping
from typing import Final

from pydantic import ValidationError

from examples.common.conversation import Conversation, JsonObject, Part, Turn, call, give_up


class Lead(Part):
    """The part of a lead that the script looks at."""

    company: str = ""
    territory: str = "emea"


class FoundContact(Part):
    """The part of a contact that the script looks at."""

    id: str
    name: str = ""
    title: str = ""
    company: str = ""
    industry: str = ""
    employees: int = 0


class Found(Part):
    """What the CRM's search returns."""

    contacts: tuple[FoundContact, ...] = ()


def enrich(conversation: Conversation) -> Turn:
    """Look the lead up, read it, try to export everything (which policy denies), update it, report."""
    lead = Lead.model_validate(conversation.task.get("lead") or {})
    contact = found_contact(conversation)
    if conversation.turn == 0:
        return call("crm.search_contacts", {"territory": lead.territory, "query": lead.company})
    if contact is None:
        return Turn(output=report(conversation))
    match conversation.turn:
        case 1:
            return call("crm.get_contact", {"id": contact.id})
        case 2:
            return call("crm.export_contacts", {"territory": lead.territory})
        case 3:
            # A lead that is to be called already is written to, so that each run has something to change.
            called = any('"Call ' in result.text for result in conversation.results)
            step = f"{'Write to' if called else 'Call'} {contact.name} about {contact.company}'s plans"
            changes: JsonObject = {
                "id": contact.id,
                "stage": "qualified",
                "score": score(contact),
                "next_step": step,
            }
            return call("crm.update_contact", changes)
        case _:
            return Turn(output=report(conversation))


def found_contact(conversation: Conversation) -> FoundContact | None:
    """Return the first contact that a search found."""
    for result in conversation.results:
        if result.tool != "crm.search_contacts":
            continue
        try:
            return next(iter(Found.model_validate_json(result.text).contacts), None)
        except ValidationError:
            return None
    return None


def score(contact: FoundContact) -> float:
    """Return how good a lead is: the larger the company, the better."""
    return round(min(0.95, 0.35 + contact.employees / 2000), 2)


def report(conversation: Conversation) -> JsonObject:
    """Return what came of a lead, with a note on each call that did not go through."""
    contact = found_contact(conversation)
    notes = conversation.problems()
    if contact is None:
        return {"summary": "No contact was found for this lead.", "score": 0.0, "notes": notes}
    summary = f"{contact.name}, {contact.title} at {contact.company} ({contact.industry}, {contact.employees} people)."
    return {"summary": summary, "score": score(contact), "contactId": contact.id, "notes": notes}


def draft(conversation: Conversation) -> Turn:
    """Write a letter from the facts, and call nothing."""
    given = conversation.task.get("facts")
    facts = given if isinstance(given, dict) else {}
    contact, summary = facts.get("contactId"), str(facts.get("summary", ""))
    who, _, rest = summary.partition(", ")
    company = rest.partition(" at ")[2].partition(" (")[0] or "your company"
    body = (
        f"Dear {who},\n\nplans like those of {company} are what we build for. May I show you in twenty minutes what"
        " others of your size did with it?\n\nWith kind regards"
    )
    return Turn(output={"contactId": contact, "subject": f"Twenty minutes for {company}", "body": body})


def send(conversation: Conversation) -> Turn:
    """Send the letter as it is."""
    if not conversation.results:
        given = conversation.task.get("letter")
        letter = given if isinstance(given, dict) else {}
        message: JsonObject = {
            "contact": letter.get("contactId"),
            "subject": letter.get("subject"),
            "body": letter.get("body"),
        }
        return call("mail.send_message", message)
    sent = conversation.returned("mail.send_message")
    return Turn(output={"message": sent["id"]}) if "id" in sent else give_up(conversation)


SCRIPTS: Final[Mapping[str, Callable[[Conversation], Turn]]] = {
    "Enrich the lead that you are given.": enrich,
    "Write the first letter to a lead.": draft,
    "Send a letter that people have agreed to.": send,
}
"""By the first line of an agent's instructions."""
