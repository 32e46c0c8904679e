"""``python -m tests.bench [NAME ...]``: run the named benchmarks, or all; ``NAME OPTIONS``: one, set up by its options."""

import importlib
import sys
from itertools import takewhile

NAMES = ("approvals", "decision", "fuzz", "gateway", "operator", "store", "workflows")


def main(arguments: list[str]) -> int:
    """Run the benchmarks; return the exit code."""
    names = list(takewhile(lambda argument: not argument.startswith("-"), arguments))
    options = arguments[len(names) :]
    unknown = [name for name in names if name not in NAMES]
    if unknown or (options and len(names) != 1):
        wrong = f"no such benchmark: {', '.join(unknown)}" if unknown else "options are for one benchmark"
        print(f"{wrong}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    for name in names or NAMES:
        importlib.import_module(f"tests.bench.{name}").main(options)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
