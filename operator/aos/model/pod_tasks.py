"""Which Tasks a pod is for: told by the operator to what runs in the pod. Imports nothing, as a helper of few bytes reads it."""

from enum import StrEnum


class PodTasks(StrEnum):
    """Which Tasks a pod is for, as its environment tells what runs in it (``AOS_POD_TASKS``)."""

    ONE = "One"
    """The one that it was made for."""
    LATER = "Later"
    """One that is still to come: the pod is kept warm."""
    MANY = "Many"
    """One after the other: the pod is a Service's."""
