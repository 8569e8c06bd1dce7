"""Where the vectors come from: latent semantic indexing, or a function that a person names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import click
import numpy as np

from vecdb.cli.demo.lsi import Lsi
from vecdb.model.point import Float32

Embed = Callable[[Sequence[str]], Float32]


class Embedding(Protocol):
    """A way to make vectors: ``name`` tells it from others, ``description`` explains it in a line."""

    name: str
    description: str

    def remembered(self, folder: Path) -> Embed | None:
        """What an earlier run in ``folder`` embedded with, if it is still there."""

    def learned(self, texts: Sequence[str], folder: Path) -> Embed:
        """What these texts are to be embedded with from now on."""


class LsiEmbedding:
    """Latent semantic indexing, learned from the passages and kept in a file beside the database."""

    name = "lsi"
    description = "dense, by latent semantic indexing of these very passages (TF-IDF, truncated SVD); no neural model"

    def remembered(self, folder: Path) -> Embed | None:
        try:
            return Lsi.load(folder / "lsi.npz")
        except (OSError, ValueError, KeyError, BadZipFile):  # none, or a damaged one
            return None

    def learned(self, texts: Sequence[str], folder: Path) -> Embed:
        lsi = Lsi.fit(texts)
        lsi.save(folder / "lsi.npz")
        return lsi


class GivenEmbedding:
    """A function of somebody else's, named as ``module:function``."""

    def __init__(self, place: str) -> None:
        """Import it, also from the current directory. Raises click.UsageError."""
        self.name = place
        self.description = f"dense, by {place}, given with --embedder"
        module, _, function = place.partition(":")
        if not module or not function:
            raise click.UsageError(f"--embedder is module:function, not {place!r}")
        sys.path.insert(0, str(Path.cwd()))
        try:
            self._function: Callable[[list[str]], Any] = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError) as error:
            raise click.UsageError(f"--embedder {place}: {error}") from error
        finally:
            sys.path.pop(0)

    def remembered(self, folder: Path) -> Embed | None:
        return self._embed

    def learned(self, texts: Sequence[str], folder: Path) -> Embed:
        return self._embed

    def _embed(self, texts: Sequence[str]) -> Float32:
        made = np.asarray(self._function(list(texts)), dtype=np.float32)
        if made.ndim != 2 or len(made) != len(texts):
            raise click.ClickException(
                f"{self.name} gave an array of shape {list(made.shape)} for {len(texts)} texts; "
                f"expected [{len(texts)}, dim]"
            )
        return made
