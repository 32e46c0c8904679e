"""What the scripted model plays for the agents of the marketing example."""

from collections.abc import Callable, Mapping
from typing import Final

from pydantic import JsonValue

from examples.common.conversation import Conversation, Turn, call, give_up


def write(conversation: Conversation) -> Turn:
    """Read the brand's guide, and write a draft: with a word too many, if the brief asks for it."""
    if not conversation.results:
        return call("cms.get_brand_guide", {})
    page = conversation.returned("cms.create_draft")
    if page:
        return Turn(output={"page": page["id"], "version": page["version"], "title": page["title"]})
    if conversation.results[-1].tool == "cms.create_draft":
        return give_up(conversation)
    topic, claim = conversation.text("topic"), conversation.text("claim")
    body = f"What {topic} means for a team of ten, told by one that did it. {claim}".strip()
    return call("cms.create_draft", {"title": f"{topic[:1].upper()}{topic[1:]}, told plainly", "body": body})


def check(conversation: Conversation) -> Turn:
    """Hold the draft against the words that the brand does not use."""
    if not conversation.results:
        return call("cms.get_brand_guide", {})
    if len(conversation.results) == 1:
        return call("cms.get_page", {"id": conversation.text("page")})
    page = conversation.returned("cms.get_page")
    if not page:
        return give_up(conversation)
    banned = conversation.returned("cms.get_brand_guide").get("bannedWords")
    said = f"{page['title']} {page['body']}".lower()
    found: list[JsonValue] = [
        word for word in (banned if isinstance(banned, list) else []) if str(word) in said
    ]
    problems: list[JsonValue] = [f"says “{word}”" for word in found]
    return Turn(
        output={
            "fits": not problems,
            "problems": problems,
            "title": page["title"],
            "body": page["body"],
            "version": page["version"],
        }
    )


def publish(conversation: Conversation) -> Turn:
    """Publish the version that people saw."""
    if not conversation.results:
        page, version = conversation.text("page"), conversation.task.get("version")
        return call("cms.publish_page", {"id": page, "version": version})
    page_url = conversation.returned("cms.publish_page").get("path")
    return Turn(output={"path": page_url}) if isinstance(page_url, str) else give_up(conversation)


def discard(conversation: Conversation) -> Turn:
    """Take a draft away."""
    if not conversation.results:
        return call("cms.discard_draft", {"id": conversation.text("page")})
    state = conversation.returned("cms.discard_draft").get("state")
    return Turn(output={"state": state}) if isinstance(state, str) else give_up(conversation)


SCRIPTS: Final[Mapping[str, Callable[[Conversation], Turn]]] = {
    "Write a draft for the web site.": write,
    "Check a draft against the brand guide.": check,
    "Publish a page that people have approved.": publish,
    "Take a rejected draft away.": discard,
}
"""By the first line of an agent's instructions."""
