"""Asks a server for its health, with grpc.health.v1 spoken by hand so that the thin client suffices."""

from __future__ import annotations

import grpc

from vecdb.client.channel import with_port

# HealthCheckResponse is one field, `status = 1`, an enum.
_STATUSES = {b"": "UNKNOWN", b"\x08\x01": "SERVING", b"\x08\x02": "NOT_SERVING", b"\x08\x03": "SERVICE_UNKNOWN"}


def health(address: str, service: str, timeout: float) -> str:
    """SERVING, NOT_SERVING, or what kept the server from answering; ``service`` "" is the whole server."""
    with grpc.insecure_channel(with_port(address), options=(("grpc.enable_http_proxy", 0),)) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", _encode, _decode)
        try:
            status: str = check(service, timeout=timeout)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    return status


def _encode(service: str) -> bytes:
    """HealthCheckRequest is one field, `service = 1`, a string."""
    name = service.encode()[:127]
    return bytes([0x0A, len(name)]) + name if name else b""


def _decode(raw: bytes) -> str:
    return _STATUSES.get(raw, "UNKNOWN")
