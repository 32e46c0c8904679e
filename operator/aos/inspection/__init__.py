"""What calls carry: classes of data found, redacted or blocked, fields kept, hosts checked. Pure; no I/O."""
