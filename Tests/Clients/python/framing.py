"""ttrpc frames over a socket, written from the protocol's description alone."""

import socket
import struct
import time
from typing import NamedTuple

REQUEST, RESPONSE, DATA = 1, 2, 3
REMOTE_CLOSED, REMOTE_OPEN, NO_DATA = 1, 2, 4
END = REMOTE_CLOSED | NO_DATA
BODY_BYTES_MAX = 4_194_304


class Frame(NamedTuple):
    stream: int
    kind: int
    flags: int
    body: bytes

    @property
    def is_end(self):
        return (self.kind, self.flags, self.body) == (DATA, END, b"")


class ConnectionClosed(Exception):
    """The peer closed the connection, in the middle of `remainder`."""

    def __init__(self, remainder=b""):
        super().__init__(f"the connection was closed, {len(remainder)} bytes into a frame")
        self.remainder = remainder


class Silence(Exception):
    """Nothing came in time."""


def header(length, stream, kind, flags=0):
    return struct.pack(">IIBB", length, stream, kind, flags)


def frame(stream, kind, body=b"", flags=0):
    return header(len(body), stream, kind, flags) + body


class Wire:
    """A TCP connection that sends bytes and receives frames."""

    # Set by the self-check: broken servers are given up sooner.
    patience = 10.0

    def __init__(self, address, receive_buffer_bytes=None):
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(Wire.patience)
        self.socket.connect((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes without a farewell: the peer sees a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data):
        self.socket.settimeout(max(Wire.patience, 1.0))
        self.socket.sendall(data)

    def send_slowly(self, data, piece=1, pause=0.0):
        for start in range(0, len(data), piece):
            self.send(data[start : start + piece])
            if pause:
                time.sleep(pause)

    def _fill(self, count, deadline):
        while len(self.buffer) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Silence(f"nothing came in time ({len(self.buffer)} bytes are there)")
            self.socket.settimeout(left)
            try:
                piece = self.socket.recv(1 << 20)
            except socket.timeout:
                continue
            except ConnectionResetError:
                raise ConnectionClosed(bytes(self.buffer)) from None
            if not piece:
                raise ConnectionClosed(bytes(self.buffer))
            self.buffer += piece

    def receive(self, seconds=None):
        """The next frame, whatever it is."""
        deadline = time.monotonic() + (Wire.patience if seconds is None else seconds)
        self._fill(10, deadline)
        length, stream, kind, flags = struct.unpack(">IIBB", self.buffer[:10])
        assert length <= BODY_BYTES_MAX, f"the gateway sent a frame of {length} bytes"
        self._fill(10 + length, deadline)
        body = bytes(self.buffer[10 : 10 + length])
        del self.buffer[: 10 + length]
        return Frame(stream, kind, flags, body)

    def receive_bytes(self, count):
        self._fill(count, time.monotonic() + Wire.patience)
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def expect_bytes(self, expected):
        found = self.receive_bytes(len(expected))
        assert found == expected, f"found {found.hex(' ')}, expected {expected.hex(' ')}"

    def expect_silence(self, seconds=0.2):
        try:
            found = self.receive(seconds)
        except Silence:
            assert not self.buffer, f"half a frame came: {bytes(self.buffer).hex(' ')}"
            return
        raise AssertionError(f"nothing was expected, but {found} came")

    def expect_closed(self, seconds=None):
        """Reads until the peer closes; frames before that are returned."""
        deadline = time.monotonic() + (Wire.patience if seconds is None else seconds)
        frames = []
        while True:
            try:
                frames.append(self.receive(deadline - time.monotonic()))
            except ConnectionClosed:
                return frames
            except Silence:
                raise AssertionError("the connection was not closed") from None

    def send_until_closed(self, data):
        """Sends; a peer that closes meanwhile is no error."""
        try:
            self.send(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False
