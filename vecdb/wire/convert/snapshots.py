"""Snapshots: what an earlier archive held, what a restore made, and who reads a state of the store."""

from __future__ import annotations

from vecdb.model.snapshot import Pin, RestoredCollection, RestoreReport, SnapshotBase
from vecdb.v1 import admin_pb2, snapshot_pb2


def base_to_proto(base: SnapshotBase) -> snapshot_pb2.SnapshotBase:
    return snapshot_pb2.SnapshotBase(database=base.database, commit=base.commit, next_rows=base.collections)


def base_from_proto(message: snapshot_pb2.SnapshotBase) -> SnapshotBase:
    return SnapshotBase(message.database, message.commit, dict(message.next_rows))


def restore_report_to_proto(report: RestoreReport) -> admin_pb2.RestoreResponse:
    return admin_pb2.RestoreResponse(
        collections=[
            snapshot_pb2.RestoredCollection(
                name=made.name,
                was=made.was,
                points=made.points,
                vectors=made.vectors,
                recall=made.recall,
                token=made.token,
            )
            for made in report.collections
        ],
        dry_run=report.dry_run,
    )


def restore_report_from_proto(message: admin_pb2.RestoreResponse) -> RestoreReport:
    return RestoreReport(
        collections=tuple(
            RestoredCollection(
                name=made.name,
                was=made.was,
                points=made.points,
                vectors=dict(made.vectors),
                recall=dict(made.recall),
                token=made.token,
            )
            for made in message.collections
        ),
        dry_run=message.dry_run,
    )


def pin_to_proto(pin: Pin) -> snapshot_pb2.Pin:
    return snapshot_pb2.Pin(id=pin.id, purpose=pin.purpose, commit=pin.commit, since_ms=pin.since_ms)


def pin_from_proto(message: snapshot_pb2.Pin) -> Pin:
    return Pin(id=message.id, purpose=message.purpose, commit=message.commit, since_ms=message.since_ms)
