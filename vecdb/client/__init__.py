"""The Python client: one surface, over gRPC or over an engine in this process."""
