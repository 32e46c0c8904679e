"""Counters, leases, duplicates and the audit trail, kept: one interface, two backends."""
