"""The one enforcement point: who calls, what they may do, and the calls themselves, over HTTP."""
