import re
from pathlib import Path

import pytest

from aos.gateway.main import _opened, chain_of
from aos.gateway.settings import GatewaySettings
from aos.model.environment import SettingsError
from aos.store.interface import StoreUnavailableError


def settings(url: str) -> GatewaySettings:
    return GatewaySettings.from_environment(
        {"POD_NAMESPACE": "aos-system", "POD_NAME": "aos-gateway-7d4f-x2", "AOS_STORE_URL": url}
    )


def test_each_start_writes_a_chain_of_its_own_that_is_fit_for_a_key_of_a_config_map() -> None:
    said = settings("sqlite:///tmp/store.db")
    first, second = chain_of(said), chain_of(said)
    assert first != second
    assert re.fullmatch(r"aos-gateway-7d4f-x2-[0-9]{8}T[0-9]{12}", first)


@pytest.mark.parametrize("url", ["sqlite:store.db", "mysql://root:hunter2@db/aos", "store.db"])
def test_a_store_that_nobody_knows_ends_the_start_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="AOS_STORE_URL") as raised:
        settings(url)
    assert "hunter2" not in str(raised.value)


async def test_a_store_that_can_not_be_reached_yet_does_not_keep_the_gateway_from_starting(
    tmp_path: Path,
) -> None:
    said = settings(f"sqlite://{tmp_path}/volume/store.db")
    store = await _opened(said, "gateway-0-1")
    with pytest.raises(StoreUnavailableError):
        await store.ping()
    (tmp_path / "volume").mkdir()
    await store.open()
    await store.ping()
    await store.close()
