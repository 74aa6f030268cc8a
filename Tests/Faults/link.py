"""A small TCP proxy that can be cut, reset, frozen, slowed down, or made to send single bytes."""

import selectors
import socket
import struct
import threading
import time


class Link:
    """Forwards every connection to its own port to a target; one thread, changed from others."""

    def __init__(self, target):
        self.target = target
        self.delay = 0.0
        self.piece = None
        self._frozen = set()
        self._freezes = False
        self._pairs = {}
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._isOpen = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self):
        """Closes every connection in order."""
        with self._lock:
            for end in list(self._pairs):
                self._close(end)

    def reset(self):
        """Closes every connection with a reset, which throws away what is under way."""
        with self._lock:
            for end in list(self._pairs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for end in list(self._pairs):
                self._close(end)

    def freeze(self):
        """Passes nothing on any more, and tells nobody: a half-open link."""
        with self._lock:
            self._freezes = True
            self._frozen.update(self._pairs)

    def thaw_new(self):
        """New connections pass again; the frozen ones stay as they are."""
        with self._lock:
            self._freezes = False

    def close(self):
        self._isOpen = False
        self._thread.join(timeout=2)
        self.cut()
        self._listener.close()

    def _run(self):
        while self._isOpen:
            for key, _ in self._selector.select(timeout=0.1):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj in self._pairs:
                        self._forward(key.fileobj)

    def _accept(self):
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(self.target, timeout=2)
        except OSError:
            near.close()
            return
        for end, other in ((near, far), (far, near)):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.settimeout(2)
            self._pairs[end] = other
            self._selector.register(end, selectors.EVENT_READ)
            if self._freezes:
                self._frozen.add(end)

    def _forward(self, end):
        if end in self._frozen:
            self._selector.unregister(end)
            return
        other = self._pairs[end]
        try:
            # Read once: the fault may be over at any time.
            piece = self.piece
            data = end.recv(4096 if piece else 65536)
            if not data:
                self._close(end)
                return
            if self.delay:
                time.sleep(self.delay)
            if piece:
                for start in range(0, len(data), piece):
                    other.sendall(data[start:start + piece])
            else:
                other.sendall(data)
        except OSError:
            self._close(end)

    def _close(self, end):
        other = self._pairs.pop(end, None)
        self._pairs.pop(other, None)
        for one in (end, other):
            if one is None:
                continue
            self._frozen.discard(one)
            try:
                self._selector.unregister(one)
            except (KeyError, ValueError):
                pass
            one.close()
