"""RFC 3339 times, to numbers that compare as they do."""

from __future__ import annotations

import re
from datetime import date

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH = date(1970, 1, 1).toordinal()


def parse_time(text: str) -> tuple[int, int] | None:
    """(seconds since 1970 UTC, nanoseconds 0..999,999,999) of an RFC 3339 date-time; None for any other text.

    A leap second (:60) is the first second of the next minute. More than nine digits of a second are no time here.
    """
    found = _TIME.fullmatch(text) if 20 <= len(text) <= 35 else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.group(1, 2, 3, 4, 5, 6))
    fraction, _, sign, off_hours, off_minutes = found.group(7, 8, 9, 10, 11)
    if hour > 23 or minute > 59 or second > 60:
        return None
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None
    offset = 0
    if sign is not None:
        if int(off_hours) > 23 or int(off_minutes) > 59:
            return None
        offset = (int(off_hours) * 3600 + int(off_minutes) * 60) * (1 if sign == "+" else -1)
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
    return seconds, 0 if fraction is None else int(fraction.ljust(9, "0"))
