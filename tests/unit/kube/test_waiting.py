import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from aos.kube.waiting import waiting

PACKAGES = ("package_that_waits", "package_that_does_not")


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file with the name of each package that was run; each has a name of its own and a module."""
    for name in PACKAGES:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text(
            "from pathlib import Path\n"
            f"with Path({str(tmp_path / 'ran')!r}).open('a') as ran:\n    ran.write(__name__ + ' ')\n"
            "OWN = 'its own'\n"
        )
        (folder / "part.py").write_text("NAME = 'of the module'\n")
    (tmp_path / "ran").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "ran"
    for name in PACKAGES:
        sys.modules.pop(name, None)
        sys.modules.pop(f"{name}.part", None)


def test_a_package_that_waits_is_run_once_somebody_asks_it_for_a_name(ran: Path) -> None:
    with waiting("package_that_waits"):
        part = import_module("package_that_waits.part")
        import_module("package_that_does_not.part")
    assert part.NAME == "of the module"
    assert ran.read_text() == "package_that_does_not "
    package = import_module("package_that_waits")
    assert package.part is part
    assert (package.OWN, hasattr(package, "none"), package.OWN) == ("its own", False, "its own")
    assert ran.read_text() == "package_that_does_not package_that_waits "


def test_after_the_block_packages_are_run_as_ever(ran: Path) -> None:
    finders = list(sys.meta_path)
    with waiting("package_that_waits"):
        pass
    assert sys.meta_path == finders
    import_module("package_that_waits.part")
    assert ran.read_text() == "package_that_waits "
