"""Models: OpenAI-compatible requests checked, bounded and passed on with the gateway's own credential."""
