"""The audit trail and the records as people read them, and the heads that the operator anchors."""
