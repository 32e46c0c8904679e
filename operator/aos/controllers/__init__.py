"""The operator's edge: Kopf and informers in, pure reconciles between, writes out. One file a kind."""
