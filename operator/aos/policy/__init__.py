"""Policy as pure functions of data: what an agent's rules come to, and what they say of one call. No I/O."""
