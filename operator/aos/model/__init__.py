"""The API's kinds as data: what may be said, how it is checked, and how it is named. No I/O."""
