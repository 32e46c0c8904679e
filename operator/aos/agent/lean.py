"""Keeps from an agent's process what the clients load for others: it starts for each Task, and that would be a third of its start.

Nothing is taken away. The packages below ``LATER`` still have all their names, and load them when the first of them is asked for;
``UNUSED`` is what the model's client does without where it is not installed.
"""

import sys
import threading
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Final

LATER: Final = "openai.types"
"""Hundreds of modules, of which one kind of request needs some dozens. They import each other by name, and the package none of them."""
UNUSED: Final = "aiohttp"
"""Another transport for the model's client."""


def keep_lean() -> None:
    """Let whatever this process imports from now on be imported so."""
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds what Python finds, and says of packages that they can wait."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load a package that can wait; None leaves the module to the finders after this one."""
        if fullname == UNUSED:
            raise ModuleNotFoundError(f"{fullname} is not for agents: see {__name__}", name=fullname)
        if fullname != LATER and not fullname.startswith(f"{LATER}."):
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
