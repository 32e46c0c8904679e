from dataclasses import fields
from pathlib import Path

import pytest

from aos.store.settings import StoreSettings

PAGE = (Path(__file__).resolve().parents[3] / "docs/store.md").read_text()


@pytest.mark.parametrize("name", [field.name for field in fields(StoreSettings)])
def test_every_bound_is_documented_with_its_default(name: str) -> None:
    default = getattr(StoreSettings(), name)
    assert any(f"| `{name}` | {text} |" in PAGE for text in (f"{default}", f"{default:g}"))
    assert f"{name}: " in (StoreSettings.__doc__ or "")
