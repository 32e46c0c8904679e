"""Server-sent events, taken apart: bytes in, the data of whole events out. No I/O."""

from typing import Final

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class EventTooLargeError(ValueError):
    """One event has more bytes than it may have."""


class EventParser:
    """Reads a stream of events piece by piece."""

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._type = b""
        self._started = False
        self._after_return = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of each event of type ``message`` that ``chunk`` completes.

        Raises:
            EventTooLargeError: an event is longer than allowed.
        """
        if self._after_return and chunk:
            # The \r that came last was half of \r\n, or a whole end: either way its line has been read.
            self._after_return = False
            chunk = chunk.removeprefix(b"\n")
        self._rest.append(chunk)
        self._rest_bytes += len(chunk)
        # A line without an end is not looked at again and again: one byte at a time would cost its square.
        if b"\n" not in chunk and b"\r" not in chunk:
            self._check()
            return []
        lines = b"".join(self._rest).splitlines(keepends=True)
        self._after_return = lines[-1].endswith(b"\r")
        incomplete = [] if lines[-1].endswith((b"\n", b"\r")) else [lines.pop()]
        self._rest = incomplete
        self._rest_bytes = len(incomplete[0]) if incomplete else 0
        events = [data for line in lines if (data := self._line(line.rstrip(b"\r\n"))) is not None]
        self._check()
        return events

    def _line(self, line: bytes) -> bytes | None:
        if not self._started:
            self._started = True
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1
            self._check()
        elif field == b"event":
            self._type = value
        return None

    def _dispatch(self) -> bytes | None:
        data, kind = b"\n".join(self._data), self._type
        self._data, self._data_bytes, self._type = [], 0, b""
        return data if data and kind in (b"", b"message") else None

    def _check(self) -> None:
        if self._rest_bytes + self._data_bytes > self._max_event_bytes:
            raise EventTooLargeError(f"an event has more than {self._max_event_bytes} bytes")
