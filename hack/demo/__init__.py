"""The demonstration: a real cluster, AOS on it, one agent at work, and the proof of what it could and could not do."""
