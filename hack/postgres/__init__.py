"""A private PostgreSQL on this machine, for tests and benchmarks: started in a folder of its own, and gone after."""
