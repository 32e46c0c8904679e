"""The built-in agent runtime: one task, a model and its tools, all of it through the gateway.

It holds no credential and decides nothing about what an agent may do: the gateway does.
"""
