"""Circuit breakers: a Tool that fails again and again is left alone for a while, then tried by one call. No I/O."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from aos.gateway.settings import GatewaySettings


@dataclass(slots=True)
class _Circuit:
    """What is known of something that failed; nothing is kept of what works.

    Attributes:
        failures: in a row.
        last_at: when the last of them came.
        idle_seconds: of the row, those in which none of its calls was under way: a slow failure is not a rare one.
        opened_at: when it was left alone; None while it is not.
        probed_at: when the one call that tries it again was let through; None while there is none.
    """

    failures: int
    last_at: float
    idle_seconds: float = 0
    opened_at: float | None = None
    probed_at: float | None = None


class Circuits:
    """The breakers of everything that calls may fail on, by key."""

    def __init__(self, settings: GatewaySettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures = settings.circuit_failures
        self._window_seconds = settings.circuit_window_seconds
        self._open_seconds = settings.circuit_open_seconds
        self._slowest_seconds = settings.upstream_timeout_seconds + settings.connect_timeout_seconds
        self._clock = clock
        self._circuits: dict[Hashable, _Circuit] = {}

    @property
    def open(self) -> int:
        """How many are open, or on trial, now."""
        return sum(circuit.opened_at is not None for circuit in self._circuits.values())

    def knows(self, key: Hashable) -> bool:
        """Whether there was a failure that still counts."""
        return key in self._circuits

    def wait_seconds(self, key: Hashable) -> float:
        """Return how long calls must stay away; 0 for a call that may go, which then is the trial if there was a wait.

        Whoever was let through tells `worked`, `failed` or `left`. Of a trial that nobody tells of, another is allowed
        after the time that a circuit is open.
        """
        circuit = self._circuits.get(key)
        if circuit is None or circuit.opened_at is None:
            return 0
        now = self._clock()
        left = circuit.opened_at + self._open_seconds - now
        if left > 0:
            return left
        if circuit.probed_at is not None and now - circuit.probed_at < self._open_seconds:
            return circuit.probed_at + self._open_seconds - now
        circuit.probed_at = now
        return 0

    def worked(self, key: Hashable) -> None:
        """Note that a call was answered: the row of failures is over."""
        self._circuits.pop(key, None)

    def failed(self, key: Hashable, took_seconds: float) -> None:
        """Note that a call failed, after so long."""
        now = self._clock()
        circuit = self._circuits.get(key)
        if circuit is not None:
            circuit = self._goes_on(circuit, now, took_seconds)
        if circuit is None:
            circuit = self._circuits[key] = _Circuit(0, now)
        circuit.failures += 1
        on_trial = circuit.probed_at is not None
        if on_trial or (circuit.opened_at is None and circuit.failures >= self._failures):
            circuit.opened_at, circuit.probed_at = now, None

    def failed_again(self, key: Hashable, took_seconds: float) -> None:
        """Note a failure that is none more: it says nothing new, but its time was no time in which all was well."""
        circuit = self._circuits.get(key)
        if circuit is not None:
            circuit.probed_at = None
            self._goes_on(circuit, self._clock(), took_seconds)

    def left(self, key: Hashable) -> None:
        """Note that a call that was let through was not made after all."""
        circuit = self._circuits.get(key)
        if circuit is not None:
            circuit.probed_at = None

    def _goes_on(self, circuit: _Circuit, now: float, took_seconds: float) -> _Circuit | None:
        """Return the row that a failure belongs to; None where the one before it is over."""
        circuit.idle_seconds += max(0.0, now - circuit.last_at - took_seconds)
        circuit.last_at = now
        return None if circuit.opened_at is None and circuit.idle_seconds > self._window_seconds else circuit

    def sweep(self) -> None:
        """Forget failures that are too long ago to count."""
        now = self._clock()
        longest = self._window_seconds + 2 * self._open_seconds + self._slowest_seconds
        self._circuits = {
            key: circuit
            for key, circuit in self._circuits.items()
            if now - max(circuit.last_at, circuit.opened_at or 0, circuit.probed_at or 0) <= longest
        }
