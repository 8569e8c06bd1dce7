"""Libraries that only some formats need: imported when one is met, and missed with the command that installs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vecdb.errors import FailedPrecondition

INSTALL = "pip install 'vecdb-py[import]'"


@contextmanager
def needs(library: str, what: str) -> Iterator[None]:
    """Around an import that needs a library. Raises FailedPrecondition naming the command that installs it."""
    try:
        yield
    except ImportError as error:
        raise FailedPrecondition(f"{what} needs {library}: {INSTALL}", expected=library, received=str(error)) from None
