"""Searches by words: from a text that is asked to the points that hold its words, best first by BM25."""
