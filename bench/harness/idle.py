"""Holds connections that have said one thing and are silent since: idle.py HOST:PORT COUNT.

Prints "ready" when each has had an answer to a health check, and holds them until it is killed.
"""

import socket
import struct
import sys
import time


def field(number, text):
    return bytes([number << 3 | 2, len(text)]) + text


CALL = field(1, b"grpc.health.v1.Health") + field(2, b"Check")
# Source: ttrpc, PROTOCOL.md: length, stream, type 1 (request), flags.
FRAME = struct.pack(">IIBB", len(CALL), 1, 1, 0) + CALL


def main():
    host, _, port = sys.argv[1].rpartition(":")
    connections = []
    while len(connections) < int(sys.argv[2]):
        some = [socket.create_connection((host, int(port)), timeout=30) for _ in range(100)]
        for connection in some:
            connection.sendall(FRAME)
        for connection in some:
            if len(connection.recv(4096)) < 10:
                sys.exit("the gateway did not answer")
        connections += some
    print("ready", flush=True)
    while True:
        time.sleep(3600)


main()
