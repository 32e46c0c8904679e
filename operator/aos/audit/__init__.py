"""The audit trail as data: rows, their hash chain, signed heads, verification, and forms for export. No I/O."""
