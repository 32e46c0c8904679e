"""What the scripted model plays for the researcher."""

from collections.abc import Callable, Mapping
from typing import Final

from examples.common.conversation import Conversation, Turn, call, give_up

FIRST_LINE: Final = "Look up the contact of the lead that you are given."


def research(conversation: Conversation) -> Turn:
    """Return the next turn: search, read, report. The tools have their own names, as they are offered alone."""
    lead = conversation.task.get("lead")
    if not isinstance(lead, dict):
        return give_up(conversation)
    if conversation.turn == 0:
        query = {"territory": lead.get("territory"), "query": str(lead.get("company", "")).lower()}
        return call("search_contacts", query)
    found = conversation.returned("search_contacts").get("contacts")
    first = found[0] if isinstance(found, list) and found else None
    if not isinstance(first, dict):
        return give_up(conversation)
    if conversation.turn == 1:
        return call("get_contact", {"id": first.get("id")})
    contact = conversation.returned("get_contact").get("contact")
    if not isinstance(contact, dict):
        return give_up(conversation)
    said = f"{contact.get('name')}, {contact.get('title')} at {contact.get('company')}."
    return Turn(output={"summary": said, "contact": str(first.get("id"))})


SCRIPTS: Final[Mapping[str, Callable[[Conversation], Turn]]] = {FIRST_LINE: research}
