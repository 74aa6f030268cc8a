"""Other clients misbehave beside the producers."""

import resource
import socket
import time
from contextlib import contextmanager

from producers import Producer
from registry import fault
from world import PRODUCERS, Skipped

STORM = 5_000
DESCRIPTORS = 200


def nonsense(dice):
    """The beginning of a conversation that nobody should have."""
    return dice.choice([
        b"\0\0\0",                                      # a header that never ends
        bytes(dice.randrange(256) for _ in range(64)),  # garbage
        b"\0\x40\0\1" + b"\0\0\0\1" + b"\1\0" + b"x" * 2000,  # announces one byte too much
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ])


def send(sock, data):
    try:
        sock.sendall(data)
        return True
    except OSError:
        return False


@contextmanager
def sockets(count):
    """Many sockets; the limit of descriptors is raised as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < count + 200:
        raise Skipped(f"{count} sockets are more than the {hard} descriptors this process may have")
    socks = [socket.socket() for _ in range(count)]
    try:
        yield socks
    finally:
        for sock in socks:
            sock.close()


@fault()
def garbage_on_other_connections(world, dice):
    with sockets(200) as socks:
        for sock in socks:
            sock.settimeout(5)
            sock.connect(("127.0.0.1", world.gateways[0].port))
            send(sock, nonsense(dice))
        world.pause(1)


@fault()
def slowloris(world, dice):
    """Hundreds of connections that send a header, or a body, one byte at a time, for ever."""
    request = b"\0\0\x10\0" + b"\0\0\0\1" + b"\1\0" + b"\x0a" * 4096
    with sockets(500) as socks:
        for sock in socks:
            sock.settimeout(5)
            sock.connect(("127.0.0.1", world.gateways[0].port))
        for place in range(20):
            for sock in socks:
                send(sock, request[place:place + 1])
            world.pause(dice.uniform(0.1, 0.2))


@fault()
def connection_storm(world, dice):
    """Thousands of connects at once; they are taken or refused, and go away again."""
    with sockets(STORM) as socks:
        for index, sock in enumerate(socks):
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", world.gateways[index % 2].port))
        world.pause(1)


def producers_of_a_poor_gateway(world, lane):
    world.poor = world.add_gateway(descriptors=DESCRIPTORS)
    return [Producer(world, lane, [world.poor]) for _ in range(PRODUCERS)]


@fault(producers=producers_of_a_poor_gateway)
def descriptors_used_up(world, dice):
    """More connections than descriptors: the gateway says so, and those it has go on."""
    marks = []
    with sockets(3 * DESCRIPTORS) as socks:
        for sock in socks:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", world.poor.port))
        for _ in range(3):
            marks.append([producer.acks_bytes for producer in world.producers])
            world.pause(dice.uniform(0.8, 1.2))
    if any(first >= last for first, last in zip(marks[0], marks[-1])):
        raise AssertionError("a producer stood still while there were no descriptors")
    began = time.monotonic()
    socket.create_connection(("127.0.0.1", world.poor.port), timeout=10).close()
    world.note(f"a new connection after {time.monotonic() - began:.2f} s")
    said = world.logged("descriptor", "open files")
    if not said:
        raise AssertionError("the gateway's log does not say that descriptors are used up")
    # Two workers, and more than a few seconds between sentences of the same kind.
    if len(said) > 4:
        raise AssertionError(f"the gateway's log says so {len(said)} times")
    world.note(f"log, {len(said)} lines: {said[0].split(' ', 1)[1]}")
