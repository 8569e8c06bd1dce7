"""What columns hold at most; the rest is verified from the bodies."""

MAX_STRING_BYTES = 256
"""A longer string (or one with a NUL) is left out: nobody filters by equality with an essay."""
SHORT_BYTES = 64
"""Of longer strings a sealed segment has at most MAX_LONG_STRINGS different ones at a path; past that it leaves all
of them out."""
MAX_LONG_STRINGS = 65_536
MAX_PATHS = 256
"""Paths of a segment. Payloads with a new key in every row would else make a column of each."""
MAX_STEPS = 16
"""Keys of a path, from the outside in."""
