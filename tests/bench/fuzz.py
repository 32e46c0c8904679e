"""Feeds the gateway's judges inputs at random, by seed, and checks for each what must hold for all of them.

    python -m tests.bench fuzz [--inputs N] [--seed N] [--only decision|mcp|redactor]

It stops at the first input that breaks a rule, and tells it.
"""

import argparse
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from tests.bench import fuzz_decision, fuzz_inspection, fuzz_mcp

DEFAULT_INPUTS: Final = 2_000
FUZZERS: Final[dict[str, Callable[[int], Iterator[str]]]] = {
    "decision": fuzz_decision.outcomes,
    "mcp": fuzz_mcp.outcomes,
    "redactor": fuzz_inspection.outcomes,
}


def main(arguments: Sequence[str] = ()) -> None:
    """Run the fuzzers one after the other; exit with 1 at the first input that breaks a rule."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench fuzz")
    parser.add_argument("--inputs", type=int, default=DEFAULT_INPUTS, help="to each fuzzer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(FUZZERS))
    options = parser.parse_args(arguments)
    for name in (options.only,) if options.only else FUZZERS:
        started = time.perf_counter()
        seen = Counter[str]()
        try:
            feed(name, options.inputs, options.seed, seen)
        except Exception:  # noqa: BLE001 - whatever comes out is what was looked for
            traceback.print_exc()
            print(f"{name}: seed {options.seed}, input {seen.total() + 1} breaks a rule", file=sys.stderr)
            raise SystemExit(1) from None
        print(
            f"{name}: {seen.total()} inputs of seed {options.seed} in {time.perf_counter() - started:.0f} s, nothing broke"
        )
        print("  " + ", ".join(f"{number} {outcome}" for outcome, number in sorted(seen.items())))


def feed(name: str, inputs: int, seed: int, seen: Counter[str]) -> None:
    """Feed the fuzzer ``name`` so many inputs, counting in ``seen`` what became of them; what breaks a rule raises."""
    outcomes = FUZZERS[name](seed)
    for _ in range(inputs):
        seen[next(outcomes)] += 1
