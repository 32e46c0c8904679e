"""Handoffs: agents give work to other agents by A2A, under the same policy as any other call."""
