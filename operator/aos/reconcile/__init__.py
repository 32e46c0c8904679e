"""From what is observed to what is desired: children, conditions, events. Pure: no I/O and no clock, one file a kind."""
