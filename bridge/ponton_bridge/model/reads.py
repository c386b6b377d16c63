"""How much is read from a socket at once. Called by the drivers that read streams: `xmpp` and `core_driver`."""

from typing import Final

READ: Final = 64 * 1024  # bytes; a heap block. Half of what glibc gets from the kernel and gives back each time


def modest(transport: object) -> None:
    """Let a transport of a plain socket read READ bytes at once; one of TLS has a buffer of its own and stays as it is.

    COMPAT: asyncio makes room for 256 KiB before each read, however little there is: a mapping made and undone, 50 us
    of 75 (CPython 3.11). May go when asyncio reads into a buffer of its own.
    """
    if hasattr(transport, "max_size"):
        transport.max_size = READ
