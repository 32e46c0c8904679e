"""The command line, for people and scripts: reads and writes Kubernetes objects, and starts the servers."""
