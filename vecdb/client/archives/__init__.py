"""Archives of snapshots: to files and from them, over gRPC, and what they say of themselves."""
