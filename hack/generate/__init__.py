"""Writes what is made from the code: CRDs, admission policies and reference pages."""
