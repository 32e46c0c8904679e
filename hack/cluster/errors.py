"""What can go wrong, sorted by what the caller should do about it; each message names the way out."""


class ClusterError(Exception):
    """Any failure that a person should read as one sentence instead of a traceback."""


class PrerequisiteError(ClusterError):
    """The machine or the arguments must change before a second try can succeed."""


class OwnershipError(ClusterError):
    """Something in the way was not made by this tool, so it is left alone."""


class BuildError(ClusterError):
    """A program or an image could not be built or fetched."""


class NotReadyError(ClusterError):
    """A cluster was started but did not become ready in time."""
