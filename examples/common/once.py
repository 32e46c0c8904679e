"""What is asked for twice is done once: answers are kept by the key that a request comes with.

A caller that got no answer sends its request again with the same ``Idempotency-Key``, as REST systems know it from payments.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

KEY_HEADER: Final = "idempotency-key"
MAX_KEPT: Final = 10_000
"""Answers; the oldest go first. A system that outlives its process keeps them beside its data."""

Answer = TypeVar("Answer")


class Once(Generic[Answer]):
    """The answers of requests that came with a key. What failed is not kept: it may be tried again."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Answer] = OrderedDict()

    def do(self, headers: Mapping[str, str] | None, work: Callable[[], Answer]) -> Answer:
        """Return what ``work`` gives, or gave when a request with the same key came before.

        Args:
            headers: of the request, by name in lower case or in any; None where there are none.
            work: does what is asked for, at once; it raises if it did not.
        """
        key = (headers or {}).get(KEY_HEADER)
        if not key:
            return work()
        if key not in self._kept:
            self._kept[key] = work()
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]
