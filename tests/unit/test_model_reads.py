"""Reading from sockets in modest pieces, as CPython's own transports do it."""

import asyncio
import socket

from ponton_bridge.model.reads import READ, modest


class _Pieces(asyncio.Protocol):
    def __init__(self, size: int) -> None:
        self.sizes: list[int] = []
        self.left = size
        self.whole = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.sizes.append(len(data))
        self.left -= len(data)
        if self.left <= 0:
            self.whole.set_result(None)


async def test_a_plain_socket_is_read_in_pieces_and_whole() -> None:
    """Nothing is lost, and no read asks for more than a heap block."""
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * READ)
    theirs.setblocking(False)  # noqa: FBT003 - the library's
    transport, pieces = await asyncio.get_running_loop().create_connection(lambda: _Pieces(3 * READ), sock=ours)
    modest(transport)
    transport.pause_reading()
    writing = asyncio.create_task(asyncio.get_running_loop().sock_sendall(theirs, bytes(3 * READ)))
    transport.resume_reading()
    await asyncio.wait_for(pieces.whole, 10)
    await writing
    transport.close()
    theirs.close()
    assert sum(pieces.sizes) == 3 * READ
    assert max(pieces.sizes) <= READ


async def test_asyncio_would_ask_for_more() -> None:
    """The reason is still there; if this fails, `modest` may go."""
    ours, theirs = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    before = transport.max_size  # type: ignore[attr-defined]  # no public name
    modest(transport)
    after = transport.max_size  # type: ignore[attr-defined]
    transport.close()
    theirs.close()
    assert (256 * 1024, READ) == (before, after)


def test_a_transport_without_a_size_is_left_alone() -> None:
    """That of TLS."""
    transport = object()
    modest(transport)
    assert not hasattr(transport, "max_size")
