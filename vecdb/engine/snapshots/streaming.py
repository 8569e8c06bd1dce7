"""From a wish for a snapshot to the archive: names and base are judged, one state is kept, and let go of at the end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from vecdb.engine import catalog
from vecdb.engine.names import Names
from vecdb.engine.snapshots.pins import Held
from vecdb.engine.snapshots.taking import Origin, Source, archived
from vecdb.errors import Closed, FailedPrecondition
from vecdb.model.context import CallContext
from vecdb.model.snapshot import SnapshotBase
from vecdb.storage.kv import Reader


def stream(
    context: CallContext,
    pin: Callable[[], Held],
    database: str,
    collections: Sequence[str] | None,
    base: SnapshotBase | None,
) -> Generator[bytes, None, None]:
    """The archive, in pieces. ``pin`` keeps the state of one commit; it is let go of however the reading ends."""
    held = pin()
    try:
        origin = Origin(database, held.pin.commit, held.pin.since_ms, base)
        sources = _sources(held.state, collections, origin)
        yield from archived(held.state, origin, sources, lambda: context.check("reading a snapshot"))
    except Closed as error:
        raise held.lost(error) from None
    finally:
        held.release()


def _sources(state: Reader, wanted: Sequence[str] | None, origin: Origin) -> list[Source]:
    """The collections to archive, by name. Raises CollectionNotFound; FailedPrecondition for an unfit base."""
    entries, aliases, _ = catalog.read(state)
    heads = {entry.number: head for entry, head in entries}
    names = Names([entry for entry, _ in entries], aliases)
    chosen = names.entries()
    if wanted is not None:
        numbers = {names.find(name).number for name in wanted}
        chosen = [entry for entry in chosen if entry.number in numbers]
    base = origin.base
    if base is not None and (base.database != origin.database or base.commit > origin.commit):
        raise FailedPrecondition(
            "the archive to go on from is not of this database's past",
            field="base",
            expected=f"database {origin.database}, commit <= {origin.commit}",
            received=f"database {base.database}, commit {base.commit}",
        )
    sources = []
    for entry in chosen:
        head = heads[entry.number]
        first_row = 0 if base is None else base.collections.get(entry.number, 0)
        if first_row > head.next_row:
            raise FailedPrecondition(
                f"the archive to go on from knows more of collection {entry.name!r} than the database",
                field="base",
                expected=f"<= {head.next_row} rows",
                received=str(first_row),
            )
        sources.append(Source(entry, head, names.aliases(entry), first_row))
    return sources
