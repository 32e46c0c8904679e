"""``python -m tests.bench [NAME ...]``: run the named benchmarks, or all; print one table each."""

import importlib
import sys

NAMES = ("decision", "gateway", "operator")


def main(names: list[str]) -> int:
    """Run the benchmarks; return the exit code."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    for name in names or NAMES:
        importlib.import_module(f"tests.bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
