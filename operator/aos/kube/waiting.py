"""Lets packages wait that load hundreds of modules for others: they are run once somebody asks them for a name of their own.

Nothing is taken away. Their modules can be imported by name meanwhile.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType


@contextmanager
def waiting(*packages: str) -> Iterator[None]:
    """Let these packages wait that are imported for the first time within the block."""
    finder = WaitingFinder(packages.__contains__)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class WaitingFinder(MetaPathFinder):
    """Finds what Python finds, and says of some packages that they can wait."""

    def __init__(self, can_wait: Callable[[str], bool]) -> None:
        """``can_wait`` is asked for the full name of each module."""
        self._can_wait = can_wait

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load a package that can wait; None leaves the module to the finders after this one."""
        if not self._can_wait(fullname):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.submodule_search_locations is not None:
            if not isinstance(spec.loader, SourceFileLoader):
                return None
            spec.loader = _Package(spec.loader.name, spec.loader.path)
        return spec


class _Package(SourceFileLoader):
    """A package that is there for its modules, and is run once it is asked for a name of its own."""

    def exec_module(self, module: ModuleType) -> None:
        """Let the first name that is asked for run the package."""
        lock, begun = threading.RLock(), threading.Event()

        def missing(name: str) -> object:
            names = vars(module)
            with lock:
                if not begun.is_set():
                    begun.set()
                    super(_Package, self).exec_module(module)
                    if names.get("__getattr__") is missing:
                        del names["__getattr__"]
            # What is asked for while the package runs is there already, or is not there yet, as with any package.
            if name not in names and names.get("__getattr__") is missing:
                raise AttributeError(
                    f"module {module.__name__!r} has no attribute {name!r}", name=name, obj=module
                )
            return getattr(module, name)

        vars(module)["__getattr__"] = missing
