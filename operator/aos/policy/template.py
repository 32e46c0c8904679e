"""Text with ``${...}`` in CEL, as a Tool's action names the record that it writes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Template:
    """A text with expressions, compiled; equal sources are equal templates."""

    source: str
