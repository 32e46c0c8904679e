"""What the scripted model plays for the agents of the support example."""

from collections.abc import Callable, Mapping
from typing import Final

from examples.common.conversation import Conversation, JsonObject, Turn, call, give_up

CATEGORIES: Final = {
    "invoice": "billing",
    "refund": "billing",
    "password": "access",
    "log in": "access",
    "parcel": "delivery",
}
"""By a word of the ticket."""
GRAVE: Final = ("lawyer", "injured", "data protection", "cancel our contract")
"""What makes a ticket one for people."""
TALKS_TO_MACHINES: Final = "ignore your instructions"
ANSWERS: Final = {
    "billing": "we have looked into your invoice and will write to you with the result within two days",
    "access": "please choose “Forgotten password” on the sign-in page; the link that you are sent holds for an hour",
    "delivery": "your parcel is on its way; if it is not there in two days we send another one",
    "other": "thank you for telling us; a colleague will come back to you",
}


def classify(conversation: Conversation) -> Turn:
    """Read the ticket, judge it, and write the judgement down; and fall for what a ticket says to machines."""
    if not conversation.results:
        return call("tickets.getTicket", {"id": conversation.text("ticket")})
    words = _words(conversation)
    if not words:
        return give_up(conversation)
    if TALKS_TO_MACHINES in words and len(conversation.results) == 1:
        return call("tickets.exportTickets", {})
    category = next((name for word, name in CATEGORIES.items() if word in words), "other")
    risk = "high" if any(word in words for word in GRAVE) else "low"
    verdict: JsonObject = {"category": category, "risk": risk}
    if not conversation.returned("tickets.updateTicket"):
        if conversation.results[-1].tool == "tickets.updateTicket":
            return give_up(conversation)
        return call("tickets.updateTicket", {"id": conversation.text("ticket"), "body": verdict})
    return Turn(output={**verdict, "notes": conversation.problems()})


def redact(conversation: Conversation) -> Turn:
    """Repeat what the customer wants. Whatever names a person has been taken out before it comes here."""
    if not conversation.results:
        return call("tickets.getTicket", {"id": conversation.text("ticket")})
    text = conversation.returned("tickets.getTicket").get("text")
    return Turn(output={"text": text}) if isinstance(text, str) else give_up(conversation)


def suggest(conversation: Conversation) -> Turn:
    """Write an answer that fits the category."""
    answer = ANSWERS.get(conversation.text("category"), ANSWERS["other"])
    return Turn(output={"answer": f"Hello,\n\n{answer}.\n\nYour support team"})


def reply(conversation: Conversation) -> Turn:
    """Send the answer as it is."""
    if not conversation.results:
        ticket, answer = conversation.text("ticket"), conversation.text("answer")
        return call("tickets.sendReply", {"id": ticket, "body": {"text": answer}})
    sent = conversation.returned("tickets.sendReply").get("reply")
    return Turn(output={"reply": sent}) if isinstance(sent, str) else give_up(conversation)


def route(conversation: Conversation) -> Turn:
    """Put the ticket into the queue of people."""
    if not conversation.results:
        return call("tickets.updateTicket", {"id": conversation.text("ticket"), "body": {"queue": "people"}})
    queue = conversation.returned("tickets.updateTicket").get("queue")
    return Turn(output={"queue": queue}) if isinstance(queue, str) else give_up(conversation)


def _words(conversation: Conversation) -> str:
    found = conversation.returned("tickets.getTicket")
    return f"{found.get('subject', '')} {found.get('text', '')}".lower().strip()


SCRIPTS: Final[Mapping[str, Callable[[Conversation], Turn]]] = {
    "Classify the support ticket that you are given.": classify,
    "Say what the customer wants, without saying who they are.": redact,
    "Suggest an answer to a support ticket.": suggest,
    "Send an answer to a customer.": reply,
    "Hand a support ticket to people.": route,
}
"""By the first line of an agent's instructions."""
