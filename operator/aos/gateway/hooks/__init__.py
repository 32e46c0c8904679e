"""Webhooks from outside that start runs of Workflows."""
