"""Values that agents share, kept by the gateway, as what stands behind Tools."""
