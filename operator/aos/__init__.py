"""AOS: an agentic operating system for Kubernetes."""

__version__ = "0.1.0"
