"""The command ``vecdb``."""
