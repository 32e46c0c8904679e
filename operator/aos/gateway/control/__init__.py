"""What every call is held to beside its decision: charges, records, loops, circuits and the audit trail, through the store."""
