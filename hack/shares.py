"""Splits a tree of tests into shares that are about as long as each other, each to be run by a process of its own."""

from collections import Counter
from pathlib import Path


def share_of(root: Path, number: int, count: int) -> frozenset[Path]:
    """Return the folders of one share; a folder stays whole, so that what its tests load and start is there once.

    Args:
        root: what is split.
        number: which share, from 1.
        count: into how many.

    Raises:
        ValueError: there is no such share.
    """
    if not 1 <= number <= count:
        raise ValueError(f"there is no share {number} of {count}: shares are numbered from 1 to {count}")
    sizes: Counter[Path] = Counter()
    for file in root.rglob("test_*.py"):
        sizes[file.parent] += file.stat().st_size
    shares: list[set[Path]] = [set() for _ in range(count)]
    taken = [0] * count
    for folder, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        lightest = taken.index(min(taken))
        shares[lightest].add(folder)
        taken[lightest] += size
    return frozenset(shares[number - 1])
