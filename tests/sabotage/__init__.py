"""Proof that the tests can fail: one-line breakages, each with the test that must notice it."""
