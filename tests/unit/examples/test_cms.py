from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from aos.model.base import JsonObject
from examples.marketing import cms
from tests.unit.examples.mcp_system import SETTINGS, System, answering


@pytest.fixture
async def system() -> AsyncGenerator[System]:
    site = cms.Site(":memory:")
    async with answering(cms.cms_app(SETTINGS, site)) as made:
        yield made
    site.close()


@pytest.fixture
async def draft(system: System) -> JsonObject:
    return await system.must("create_draft", title="A title", body="Some words.")


async def test_a_draft_is_published_at_the_version_that_is_named(system: System, draft: JsonObject) -> None:
    assert (draft["id"], draft["version"], draft["state"]) == ("page-0001", 1, "draft")
    published = await system.must("publish_page", id="page-0001", version=1)
    assert (published["state"], published["path"]) == ("published", "/posts/1")
    assert await system.must("get_page", id="page-0001") == published


async def test_a_draft_that_was_changed_meanwhile_is_not_published(system: System, draft: JsonObject) -> None:
    changed = await system.must("change_draft", id="page-0001", title="Another", body="Other words.")
    assert changed["version"] == 2
    assert "changed meanwhile" in await system.refused("publish_page", id="page-0001", version=1)
    assert (await system.must("get_page", id="page-0001"))["state"] == "draft"


@pytest.mark.parametrize("end", ["publish_page", "discard_draft"])
async def test_what_is_published_or_discarded_stays_so(system: System, draft: JsonObject, end: str) -> None:
    version: JsonObject = {"version": 1} if end == "publish_page" else {}
    await system.must(end, id="page-0001", **version)
    assert "no draft" in await system.refused("publish_page", id="page-0001", version=1)
    assert "no draft" in await system.refused("discard_draft", id="page-0001")
    assert "no draft" in await system.refused("change_draft", id="page-0001", title="t", body="b")


async def test_what_is_sent_again_is_done_once(system: System) -> None:
    again = replace(system, key="draft")
    draft = [await again.must("create_draft", title="A title", body="Some words.") for _ in range(2)]
    assert [page["id"] for page in draft] == ["page-0001"] * 2
    for key, action, more in (
        ("change", "change_draft", {"title": "Another", "body": "Other words."}),
        ("publish", "publish_page", {"version": 2}),
    ):
        done = [await replace(system, key=key).must(action, id="page-0001", **more) for _ in range(2)]
        assert done[0] == done[1]
    await system.must("create_draft", title="Another", body="Some words.")
    gone = [await replace(system, key="end").must("discard_draft", id="page-0002") for _ in range(2)]
    assert [page["state"] for page in gone] == ["discarded"] * 2


async def test_the_guide_names_words_that_the_brand_does_not_use(system: System) -> None:
    assert "revolutionary" in str((await system.must("get_brand_guide"))["bannedWords"])


async def test_a_page_that_is_not_there_is_an_error(system: System) -> None:
    assert "there is no page" in await system.refused("get_page", id="page-9999")
