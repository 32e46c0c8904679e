"""Calls that wait for people: asked for, waited for, let through once and marked; never decided here."""
