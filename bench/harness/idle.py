"""Holds connections that have said one thing and are silent since: idle.py HOST:PORT COUNT.

Prints "ready" when each has had an answer to a health check, and holds them. For every line that it
reads it asks over all of them once more, and prints how many answered.
"""

import contextlib
import socket
import struct
import sys


def field(number, text):
    return bytes([number << 3 | 2, len(text)]) + text


CALL = field(1, b"grpc.health.v1.Health") + field(2, b"Check")


def frame(stream):
    """Source: ttrpc, PROTOCOL.md: length, stream, type 1 (request), flags."""
    return struct.pack(">IIBB", len(CALL), stream, 1, 0) + CALL


def answers(connection):
    try:
        return len(connection.recv(4096)) >= 10
    except OSError:
        return False


def ask(connections, stream):
    """Asks over each; returns how many answer."""
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.sendall(frame(stream))
    return sum(map(answers, connections))


def main():
    host, _, port = sys.argv[1].rpartition(":")
    connections = []
    while len(connections) < int(sys.argv[2]):
        some = [socket.create_connection((host, int(port)), timeout=30) for _ in range(100)]
        if ask(some, 1) < len(some):
            sys.exit("the gateway did not answer")
        connections += some
    print("ready", flush=True)
    for number, _ in enumerate(sys.stdin):
        alive = 0
        for first in range(0, len(connections), 100):
            alive += ask(connections[first:first + 100], 3 + 2 * number)
        print(alive, flush=True)


main()
