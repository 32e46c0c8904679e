"""Times as Kubernetes' MicroTime writes them."""

from datetime import UTC, datetime


def micro_time(moment: datetime | None = None) -> str:
    """Return ``moment``, or now, in UTC with microseconds."""
    return (moment or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
