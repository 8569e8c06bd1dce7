"""The rows that figures are stated for: *bare* (id and vector) and *RAG* (UUID, 600 characters, eight fields)."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH = 1_000
TEXT_CHARACTERS = 600
RAG_BODY_BYTES = 1_400  # id, text and payload of a RAG row, about
_POOL = 4_000  # different texts and payloads; ids and vectors never repeat

_ENGLISH = (
    "The index holds one entry for each passage and the search returns those whose meaning is near the question. "
    "A write that was acknowledged is found by every later read, whatever happens to the machine meanwhile. "
)
_CHINESE = (
    "向量数据库保存每个段落的嵌入，并返回与问题含义最接近的段落。"
    "写入一旦确认，之后的任何读取都能看到，无论机器发生什么。"
)
_SOURCES = ("wiki", "handbook", "tickets", "mail", "contracts")


def row_id(number: int) -> str:
    """The UUID of a row."""
    return str(uuid.UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128))


def row_number(point_id: str) -> int:
    """The inverse of ``row_id``."""
    return uuid.UUID(point_id).int * _INVERSE % 2**128


_INVERSE = pow(0x9E3779B97F4A7C15F39CC0605CEDC835, -1, 2**128)


def rag_content() -> list[tuple[str, dict[str, Any]]]:
    """A pool of texts (half Chinese) and payloads of eight fields, the same in every run."""
    draw = random.Random(7)
    return [_rag(draw, i) for i in range(_POOL)]


def batches(vectors: NDArray[np.float32], rag: bool, size: int = BATCH) -> Iterator[dict[str, Any]]:
    """Arguments of ``upsert`` for all the vectors, ``size`` rows at a time; what can be made before is."""
    pool = rag_content() if rag else []
    ids = [row_id(i) for i in range(len(vectors))]
    for start in range(0, len(vectors), size):
        stop = min(start + size, len(vectors))
        batch: dict[str, Any] = {"ids": ids[start:stop], "vectors": vectors[start:stop]}
        if rag:
            some = [pool[i % _POOL] for i in range(start, stop)]
            batch |= {"texts": [text for text, _ in some], "payloads": [payload for _, payload in some]}
        yield batch


def _rag(draw: random.Random, number: int) -> tuple[str, dict[str, Any]]:
    text = f"{number} {_cut(draw, _ENGLISH)}"[: TEXT_CHARACTERS // 2] + _cut(draw, _CHINESE)
    payload = {
        "tenant": f"tenant-{draw.randrange(50)}",
        "source": draw.choice(_SOURCES),
        "lang": draw.choice(("en", "zh")),
        "year": draw.randrange(2005, 2026),
        "created_at": f"2025-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}T08:00:00Z",
        "chunk": draw.randrange(40),
        "tags": [f"tag-{draw.randrange(200)}" for _ in range(3)],
        "acl": [f"group-{draw.randrange(100)}" for _ in range(4)],
    }
    return text, payload


def _cut(draw: random.Random, source: str) -> str:
    """Half a text, beginning anywhere in the source."""
    start, half = draw.randrange(len(source)), TEXT_CHARACTERS // 2
    return (source[start:] + source * (1 + half // len(source)))[:half]
