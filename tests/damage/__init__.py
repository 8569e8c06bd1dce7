"""A data directory of which one file is damaged: what becomes of it. ``python -m tests.damage`` asks of every kind."""
