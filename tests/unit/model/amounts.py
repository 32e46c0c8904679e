"""Amounts that no container can be held to; the API server and the models refuse the same ones."""

IMPOSSIBLE = (
    ("cpu", "0"),
    ("cpu", "0m"),
    ("cpu", "0.0001"),
    ("cpu", "1025"),
    ("cpu", "1Gi"),
    ("memory", "0"),
    ("memory", "100m"),
    ("memory", "1023Ki"),
    ("memory", "17Ti"),
    ("memory", "99999999999999999999999Gi"),
)
