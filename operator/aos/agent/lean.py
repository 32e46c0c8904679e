"""Keeps from an agent's process what the clients load for others: it starts for each Task, and that would be a third of its start.

Nothing is taken away. The packages below ``LATER`` still have all their names, and load them when the first of them is asked for;
``UNUSED`` is what the model's client does without where it is not installed.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

from aos.kube.waiting import WaitingFinder

LATER: Final = "openai.types"
"""Hundreds of modules, of which one kind of request needs some dozens. They import each other by name, and the package none of them."""
UNUSED: Final = "aiohttp"
"""Another transport for the model's client."""


def keep_lean() -> None:
    """Let whatever this process imports from now on be imported so."""
    later = WaitingFinder(lambda name: name == LATER or name.startswith(f"{LATER}."))
    sys.meta_path[:0] = [_Unused(), later]


class _Unused(MetaPathFinder):
    """Says that a package is not there."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - as every finder is asked
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Leave every module but ``UNUSED`` to the finders after this one."""
        if fullname == UNUSED:
            raise ModuleNotFoundError(f"{fullname} is not for agents: see {__name__}", name=fullname)
        return None
