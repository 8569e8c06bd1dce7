"""Snapshots: a database, or some of its collections, as one archive, and back."""
