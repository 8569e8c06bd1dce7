"""Postings: which texts of a segment hold which terms, how often, and how long the texts are."""
