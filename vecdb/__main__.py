"""``python -m vecdb`` is the command ``vecdb``."""

from vecdb.cli.main import main

if __name__ == "__main__":  # the processes of `vecdb bench` import this module by another name
    main()
