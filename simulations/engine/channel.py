"""Objects and open files between two processes of one run, over a socket.

An object travels as its length (8 bytes), then its pickle; open files ride on the length. Both ends are processes of
the same user that run the same code, so that a pickle is no risk here; what a site may send is decided elsewhere.
"""

import os
import pickle
import select
import socket
import struct
from collections.abc import Sequence
from typing import Any

_LENGTH = struct.Struct("<Q")
_MOST_FILES = 64  # per object; the kernel allows 253


class Channel:
    """One end of a connection."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    @classmethod
    def pair(cls) -> tuple["Channel", "Channel"]:
        """Two connected ends; neither is inherited by a program that this process starts."""
        ours, theirs = socket.socketpair()
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        """For ``select``."""
        return self._socket.fileno()

    def close(self) -> None:
        """The other end then reads EOF."""
        self._socket.close()

    def readable(self) -> bool:
        """Whether :meth:`receive` has something to return, or an end to tell."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def send(self, value: object, files: Sequence[int] = ()) -> None:
        """Send ``value``, and copies of the descriptors ``files``.

        Raises:
            OSError: the other end is gone.
        """
        assert len(files) <= _MOST_FILES, f"{len(files)} files in one message, at most {_MOST_FILES}"
        body = pickle.dumps(value)
        rest = memoryview(_LENGTH.pack(len(body)) + body)  # in one call: the other end is woken once
        rest = rest[socket.send_fds(self._socket, [rest], files) :]
        if rest:
            self._socket.sendall(rest)

    def receive(self) -> tuple[Any, list[int]]:
        """Wait for the next object; its descriptors belong to the caller.

        Raises:
            EOFError: the other end is gone. OSError: this process cannot open more files.
        """
        files: list[int] = []
        try:
            head, files, flags, _ = socket.recv_fds(self._socket, _LENGTH.size, _MOST_FILES, socket.MSG_CMSG_CLOEXEC)
            if flags & socket.MSG_CTRUNC:
                raise OSError("this process has too many open files; raise its limit (ulimit -n)")
            (length,) = _LENGTH.unpack(head + self._exactly(_LENGTH.size - len(head)))
            return pickle.loads(self._exactly(length)), files
        except BaseException as fault:
            for file in files:  # each holds the memory of an update
                os.close(file)
            if isinstance(fault, ConnectionError):
                raise EOFError from fault
            raise

    def _exactly(self, size: int) -> bytearray:
        body = bytearray(size)
        rest = memoryview(body)
        while rest:
            count = self._socket.recv_into(rest)
            if not count:
                raise EOFError
            rest = rest[count:]
        return body
