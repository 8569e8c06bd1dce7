"""Filter columns: the scalars of the payloads of one segment, by path, undeclared."""
