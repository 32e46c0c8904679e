"""MCP on both sides: what agents are answered, what tools are asked, and what tools say of themselves."""
