"""Tools for those who develop AOS; nothing here is part of the product."""
