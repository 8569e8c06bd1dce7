"""The command ``vecdb demo``: real text from this machine, stored, searched and measured through a server."""
