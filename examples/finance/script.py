"""What the scripted model plays for the agents of the finance example."""

from collections.abc import Callable, Mapping
from typing import Final

from pydantic import JsonValue

from examples.common.conversation import Conversation, JsonObject, Turn, call, give_up

PAYABLES: Final = "2000"
"""Account of what is owed to suppliers."""
ALREADY: Final = "is posted already"
"""How the ledger says that trying again is no use."""


def reconcile(conversation: Conversation) -> Turn:
    """Read an invoice and the payment that names it, and say whether they agree to the cent."""
    invoice_id = conversation.text("invoice")
    if not conversation.results:
        return call("ledger.get_invoice", {"invoice": invoice_id})
    if len(conversation.results) == 1:
        return call("ledger.find_payment", {"invoice": invoice_id})
    invoice = conversation.returned("ledger.get_invoice")
    payment = conversation.returned("ledger.find_payment")
    if not (invoice and payment):
        return give_up(conversation)
    owed, paid = _cents(invoice), _cents(payment)
    matched: JsonObject = {
        "invoice": invoice_id,
        "payment": payment["id"],
        "account": payment["account"],
        "cents": paid,
        "matches": owed == paid,
    }
    return Turn(output={**matched, "differenceCents": paid - owed})


def post(conversation: Conversation) -> Turn:
    """Post the payment: what was owed becomes less, and so does the money in the account."""
    if not conversation.results:
        given = conversation.task.get("match")
        match = given if isinstance(given, dict) else {}
        account, cents = match.get("account"), match.get("cents")
        lines: list[JsonValue] = [
            {"account": PAYABLES, "debitCents": cents},
            {"account": account, "creditCents": cents},
        ]
        return call(
            "ledger.post_entry", {"invoice": match.get("invoice"), "account": account, "lines": lines}
        )
    entry = conversation.returned("ledger.post_entry").get("id")
    if isinstance(entry, str):
        return Turn(output={"posted": True, "entry": entry, "note": ""})
    refused = conversation.results[-1].text
    if ALREADY in refused:
        return Turn(output={"posted": False, "entry": "", "note": refused})
    return give_up(conversation)


def close(conversation: Conversation) -> Turn:
    """Close the invoice that was posted."""
    if not conversation.results:
        invoice, entry = conversation.text("invoice"), conversation.text("entry")
        return call("ledger.close_invoice", {"invoice": invoice, "entry": entry})
    state = conversation.returned("ledger.close_invoice").get("state")
    return Turn(output={"state": state}) if isinstance(state, str) else give_up(conversation)


def reverse(conversation: Conversation) -> Turn:
    """Post the opposite of an entry."""
    if not conversation.results:
        return call("ledger.reverse_entry", {"entry": conversation.text("entry")})
    entry = conversation.returned("ledger.reverse_entry").get("id")
    return Turn(output={"entry": entry}) if isinstance(entry, str) else give_up(conversation)


def _cents(found: JsonObject) -> int:
    value = found.get("cents")
    return value if isinstance(value, int) else 0


SCRIPTS: Final[Mapping[str, Callable[[Conversation], Turn]]] = {
    "Hold an invoice against the payment that names it.": reconcile,
    "Post a payment to the ledger.": post,
    "Close an invoice that has been paid.": close,
    "Reverse an entry of the ledger.": reverse,
}
"""By the first line of an agent's instructions."""
