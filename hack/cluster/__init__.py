"""Brings up a real Kubernetes on a developer's machine, for tests and for trying AOS out."""
