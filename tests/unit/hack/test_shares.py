from pathlib import Path

import pytest

from hack.shares import share_of
from hack.test import RUNS

UNIT = Path(__file__).resolve().parents[1]


def made(root: Path, **sizes: int) -> None:
    for name, size in sizes.items():
        folder = root / name.replace("_", "/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "test_it.py").write_text("#" * size)


def test_a_folder_goes_to_the_share_that_is_the_smallest_yet(tmp_path: Path) -> None:
    made(tmp_path, a=10, b=7, c=5, c_d=1)
    assert share_of(tmp_path, 1, 2) == {tmp_path / "a", tmp_path / "c/d"}
    assert share_of(tmp_path, 2, 2) == {tmp_path / "b", tmp_path / "c"}


def test_one_share_is_all(tmp_path: Path) -> None:
    made(tmp_path, a=10, b=7)
    assert share_of(tmp_path, 1, 1) == {tmp_path / "a", tmp_path / "b"}


@pytest.mark.parametrize("number", [0, 3])
def test_a_share_that_there_is_not_is_an_error(tmp_path: Path, number: int) -> None:
    with pytest.raises(ValueError, match="numbered from 1 to 2"):
        share_of(tmp_path, number, 2)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_shares_together_are_every_folder_of_the_unit_tests_and_none_twice(count: int) -> None:
    shares = [share_of(UNIT, number, count) for number in range(1, count + 1)]
    assert all(shares)
    assert sum(map(len, shares)) == len(frozenset().union(*shares))
    assert frozenset().union(*shares) == {file.parent for file in UNIT.rglob("test_*.py")}


def test_every_share_is_run() -> None:
    asked = [argument for run in RUNS for argument in run.arguments if argument.startswith("--share=")]
    count = len(asked)
    assert asked == [f"--share={number}/{count}" for number in range(1, count + 1)]
