"""Text with ``${...}`` in CEL whose values stay as they are: the arguments of the Read that shows what a Write would change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

from pydantic import JsonValue

from aos.policy.cost import Size, room_for, size_of, told
from aos.policy.expression import Activation, ExpressionError, RecordExpression
from aos.policy.template import compiled_parts


@dataclass(frozen=True, slots=True)
class Filling:
    """A text with expressions, compiled.

    Attributes:
        source: as it was written.
    """

    source: str
    _parts: tuple[str | RecordExpression, ...] = field(compare=False, repr=False)
    _room: Size = field(compare=False, repr=False)

    @classmethod
    def compile(cls, source: str) -> Self:
        """Compile ``source``, whose expressions may name ``args`` and give a string, an int or a bool.

        Raises:
            ExpressionError: an expression does not compile or has another type.
        """
        parts = tuple(part for part in compiled_parts(source) if part != "")
        room = room_for([part.works for part in parts if isinstance(part, RecordExpression)])
        return cls(source, parts, room)

    def value(self, arguments: Mapping[str, JsonValue]) -> str | int | bool:
        """Return the text for ``arguments``; of a source that is one expression, its value as it is.

        Raises:
            ExpressionError: an expression fails or gives something else than a string, an int or a bool, or the arguments
                are too large.
        """
        size = size_of([dict(arguments)])
        if size is None or not size.fits(self._room):
            raise ExpressionError(f"the arguments are too large for {self.source}: {told(size, self._room)}")
        activation = Activation({"args": arguments})
        if len(self._parts) == 1 and isinstance(self._parts[0], RecordExpression):
            return self._parts[0].plain(activation)
        return "".join(part if isinstance(part, str) else part.text(activation) for part in self._parts)


@lru_cache(maxsize=4096)
def compile_filling(source: str) -> Filling:
    """Return ``source`` compiled; equal sources share one compilation.

    Raises:
        ExpressionError: see `Filling.compile`.
    """
    return Filling.compile(source)
