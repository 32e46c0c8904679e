"""The API server as AOS uses it: client, caches, work queue, apply, events, leases. Knows no policy."""
