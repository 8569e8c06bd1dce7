"""Passages in, the nearest passages out: retrieval as a web service, in as many worker processes as you like.

Every worker opens the same directory with ``shared=True``; vecdb runs one engine for all of them. It makes no
difference whether a worker imports this module itself or is forked from a process that has.
"""

from __future__ import annotations

import os
import uuid
from typing import Annotated, Any

import embedding
from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

import vecdb

db = vecdb.open(os.environ.get("PASSAGES_DATA", "./data"), shared=True, timeout=10.0)
passages = db.create_collection("passages", dim=embedding.DIM, model=embedding.MODEL, exist_ok=True)

app = FastAPI(title="Passages")


class Passage(BaseModel):
    """What is stored; without an id it gets one."""

    id: str = Field(default_factory=lambda: str(uuid.uuid4()), min_length=1)
    text: str = Field(min_length=1)
    source: str = ""


class Found(BaseModel):
    """A passage and how near it is: the cosine, 1 for the same words."""

    id: str
    text: str
    source: str
    score: float


# These are plain functions: FastAPI runs them in threads, and a vecdb client may be used from all of them.


@app.post("/passages", status_code=201)
def add(batch: list[Passage]) -> dict[str, Any]:
    """Store passages, all or none; they are on the disk and can be found when this returns."""
    passages.upsert(
        ids=[passage.id for passage in batch],
        vectors=embedding.embed([passage.text for passage in batch]),
        texts=[passage.text for passage in batch],
        payloads=[{"source": passage.source} for passage in batch],
    )
    return {"ids": [passage.id for passage in batch]}


@app.get("/search")
def search(q: Annotated[str, Query(min_length=1)], limit: Annotated[int, Query(ge=1, le=100)] = 5) -> list[Found]:
    """The passages nearest to a question, best first."""
    (vector,) = embedding.embed([q])
    return [
        Found(id=hit.id, text=hit.text or "", source=hit.payload["source"], score=hit.score)
        for hit in passages.search(vector, limit=limit)
    ]


@app.delete("/passages/{id}")
def delete(id: str) -> dict[str, int]:
    """Remove a passage; says how many there were, 0 or 1."""
    return {"deleted": passages.delete(ids=[id]).count}


@app.get("/health")
def health() -> dict[str, Any]:
    """Whether this worker reaches the engine."""
    return {"vecdb": db.info().version, "passages": passages.count(timeout=2.0)}


STATUS = {vecdb.InvalidArgument: 422, vecdb.ResourceExhausted: 429, vecdb.Unavailable: 503, vecdb.DeadlineExceeded: 504}


@app.exception_handler(vecdb.VecdbError)
def refused(request: Request, error: vecdb.VecdbError) -> JSONResponse:
    """A refusal of vecdb keeps its reason."""
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)
    return JSONResponse({"reason": error.reason, "detail": str(error)}, status)
