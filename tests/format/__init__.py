"""Directories of every format there was, frozen: README.md says how one is added."""
