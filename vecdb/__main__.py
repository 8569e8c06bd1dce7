"""``python -m vecdb`` is the command ``vecdb``."""

from vecdb.cli.main import main

main()
