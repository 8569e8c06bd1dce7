"""What an update makes of a payload."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecdb.engine.patching import patched
from vecdb.model.filter import path_of
from vecdb.model.filter.matching import values_at
from vecdb.model.point import PayloadMode

MERGE, REPLACE = PayloadMode.MERGE, PayloadMode.REPLACE


@pytest.mark.parametrize(
    ("old", "given", "mode", "unset", "expected"),
    [
        (b'{"a":1,"b":{"c":2}}', b'{"b":{"d":3}}', MERGE, [], b'{"a":1,"b":{"d":3}}'),
        (b'{"a":1}', b'{"b":2}', REPLACE, [], b'{"b":2}'),
        (b'{"a":1}', None, REPLACE, [], b'{"a":1}'),
        (None, b'{"b":2}', MERGE, ["a"], b'{"b":2}'),
        (None, None, MERGE, ["a"], None),
        (b'{"a":1,"b":2}', None, MERGE, ["a"], b'{"b":2}'),
        (b'{"a":{"b":1,"c":2}}', None, REPLACE, ["a.b"], b'{"a":{"c":2}}'),
        (b'{"a.b":1,"a":{"b":2}}', None, MERGE, ["a\\.b"], b'{"a":{"b":2}}'),
        (b'{"a":[{"b":1},{"b":2,"c":3},4]}', None, MERGE, ["a.b"], b'{"a":[{},{"c":3},4]}'),
        (b'{"a":1,"b":2}', b'{"a":3}', MERGE, ["a", "b"], b'{"a":3}'),
        (b'{"a":1}', b'{"a":null}', MERGE, [], b'{"a":null}'),
        # every number stays what it is
        (b'{"a":1,"b":1.0,"c":18446744073709551615,"d":-9223372036854775808}', b'{"e":0}', MERGE, [],
         b'{"a":1,"b":1.0,"c":18446744073709551615,"d":-9223372036854775808,"e":0}'),
        # and what is not changed every byte
        (b'{ "a": 1 }', b"{}", MERGE, [], b'{ "a": 1 }'),
        (b'{ "a": 1 }', None, MERGE, ["b", "a.b"], b'{ "a": 1 }'),
    ],
)  # fmt: skip
def test_cases(old: Any, given: Any, mode: PayloadMode, unset: list[str], expected: bytes | None) -> None:
    assert patched(old, given, mode, [path_of(name) for name in unset]) == expected


JSON = st.recursive(
    st.integers(-3, 3), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner)
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON)


@given(OBJECTS, OBJECTS, st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple))
def test_what_is_unset_is_not_found_and_what_is_given_is(
    old: dict[str, Any], more: dict[str, Any], path: tuple[str, ...]
) -> None:
    after = orjson.loads(patched(orjson.dumps(old), None, MERGE, [path]) or b"")
    lists_of_lists = any(isinstance(v, list) for v in values_at(old, path[:-1]))
    assert values_at(after, path) == [] or lists_of_lists
    merged = orjson.loads(patched(orjson.dumps(old), orjson.dumps(more), MERGE, [path]) or b"")
    assert merged == {**after, **more}
