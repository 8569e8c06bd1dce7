"""What an update makes of a payload. Payloads are JSON objects as bytes; None: there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from vecdb.model.filter import Path
from vecdb.model.point import PayloadMode


def patched(old: bytes | None, given: bytes | None, mode: PayloadMode, unset: Sequence[Path]) -> bytes | None:
    """The payload after an update: first ``unset`` is taken out of ``old``, then ``given`` is put in.

    One that stays as it is keeps its bytes; one that does not is written anew, every number as it was read (1 is not
    1.0, integers have 64 bits).
    """
    if given is not None and (old is None or mode is PayloadMode.REPLACE):
        return given
    if old is None or (given is None and not unset):
        return old
    payload: dict[str, Any] = orjson.loads(old)
    taken = [_take_out(payload, path) for path in unset]
    more: dict[str, Any] = {} if given is None else orjson.loads(given)
    return orjson.dumps(payload | more) if more or any(taken) else old


def _take_out(value: Any, path: Path) -> bool:
    """Remove what a filter would find at ``path``: through an array of objects on the way, that of each. If any."""
    if isinstance(value, list):
        taken = [_take_out(element, path) for element in value if isinstance(element, dict)]
        return any(taken)
    if not isinstance(value, dict) or path[0] not in value:
        return False
    if len(path) > 1:
        return _take_out(value[path[0]], path[1:])
    del value[path[0]]
    return True
