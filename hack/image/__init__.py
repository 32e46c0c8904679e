"""Builds the image of AOS from the repository's Dockerfile, with a Docker engine or without one."""
