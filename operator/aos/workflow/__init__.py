"""Runs of Workflows: what comes next, as a pure function of what is there."""
