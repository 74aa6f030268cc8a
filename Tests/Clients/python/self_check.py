"""Checks the checker: wrong servers must be found out.

First, every test runs against servers that are plainly broken; a test that none of them fails
would pass whatever the gateway does. Then a proxy in front of the real gateway makes one subtle
fault at a time; the tests named beside it must notice.
"""

import select
import socket
import threading

import checks
import gateway
from framing import DATA, END, REQUEST, RESPONSE, Wire, frame
from protocol import error_details_pb2, history_pb2, ingest_pb2, status_pb2, ttrpc_pb2


class Server:
    """Serves every connection in a thread of its own."""

    def __init__(self, serve):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.serve = serve
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.listener.getsockname()[1]

    def _accept(self):
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(accepted,), daemon=True).start()

    def _run(self, accepted):
        with accepted:
            try:
                self.serve(accepted)
            except OSError:
                pass

    def close(self):
        self.listener.close()


def frames_of(source):
    """Whole frames of a socket, however long."""
    buffer = bytearray()
    while True:
        while len(buffer) >= 10 and len(buffer) >= 10 + int.from_bytes(buffer[:4], "big"):
            size = 10 + int.from_bytes(buffer[:4], "big")
            yield int.from_bytes(buffer[4:8], "big"), buffer[8], buffer[9], bytes(buffer[10:size])
            del buffer[:size]
        piece = source.recv(1 << 20)
        if not piece:
            return
        buffer += piece


# Servers that are plainly broken.


def closes(_accepted):
    pass


def says_yes(accepted):
    """Every request succeeds with an empty answer, every stream ends well when it should."""
    for stream, kind, flags, _ in frames_of(accepted):
        if kind == REQUEST:
            accepted.sendall(frame(stream, RESPONSE, b"\x0a\x00"))
        elif kind == DATA and flags & 1:
            accepted.sendall(frame(stream, DATA, b"", END))


def says_no(accepted):
    """Every frame is answered by INVALID_ARGUMENT without more."""
    for stream, _, _, _ in frames_of(accepted):
        accepted.sendall(frame(stream, RESPONSE, b"\x0a\x02\x08\x03"))


def is_silent(accepted):
    while accepted.recv(1 << 20):
        pass


BROKEN = [closes, says_yes, says_no, is_silent]


class NoGateway:
    """Stands in for a gateway of a test's own: the broken server, which does as it is told."""

    def __init__(self, *_options):
        self.address = gateway.Target.address

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def terminate(self, _number=None):
        pass

    def wait(self, _seconds):
        return 0

    def kill(self):
        pass


# Subtle faults. Each takes a frame of the real gateway and returns the bytes to send instead.


def endings_twice(stream, kind, flags, body):
    return frame(stream, kind, body, flags) * (2 if kind == RESPONSE else 1)


def end_flags_1(stream, kind, flags, body):
    return frame(stream, kind, body, 1 if kind == DATA and flags == END else flags)


def no_end(stream, kind, flags, body):
    return b"" if kind == DATA and flags == END else frame(stream, kind, body, flags)


def no_status(stream, kind, flags, body):
    if kind == RESPONSE and body.startswith(b"\x0a\x00"):
        body = body[2:]
    return frame(stream, kind, body, flags)


def change_status(change):
    def fault(stream, kind, flags, body):
        if kind == RESPONSE:
            message = ttrpc_pb2.Response.FromString(body)
            if message.status.code:
                change(message.status)
                body = message.SerializeToString()
        return frame(stream, kind, body, flags)

    return fault


def change_answer(change):
    def fault(stream, kind, flags, body):
        if kind == DATA and body and not flags & 4 and body != b"\x08\x01":
            message = ingest_pb2.WriteResponse.FromString(body)
            change(message)
            body = message.SerializeToString()
        return frame(stream, kind, body, flags)

    return fault


def no_details(status):
    del status.details[:]


def no_retry(status):
    kept = [d for d in status.details if not d.Is(error_details_pb2.RetryInfo.DESCRIPTOR)]
    del status.details[:]
    status.details.extend(kept)


def other_code(status):
    status.code += 1


def durable_too_early(message):
    if message.HasField("ack"):
        message.ack.durable_seq = message.ack.staged_seq


def no_rejects(message):
    if message.HasField("ack"):
        del message.ack.rejects[:]


def reject_moved(message):
    for reject in message.ack.rejects if message.HasField("ack") else ():
        reject.seq += 1


def reason_other(message):
    for reject in message.ack.rejects if message.HasField("ack") else ():
        reject.reason = reject.reason % 11 + 1


def counts_wrong(message):
    if message.HasField("ack"):
        message.ack.counts.duplicate = 0


def epoch_risen(message):
    if message.HasField("opened"):
        message.opened.epoch += 1


def grant_kept(message):
    if message.HasField("ack"):
        message.ack.granted_bytes = min(message.ack.granted_bytes, 65_536)


def history_changed(stream, kind, flags, body):
    """Forgets the sign of zero: a page of numbers has -0.0 as 00 … 80 only there."""
    if kind == RESPONSE and len(body) > 40:
        body = body.replace(b"\x00\x00\x00\x00\x00\x00\x00\x80", bytes(8))
    return frame(stream, kind, body, flags)


# A fault, and words of the claims that must find it.
FAULTS = [
    (endings_twice, ["rule 7: an error is one Response", "rule 2: a Request on an even id"]),
    (end_flags_1, ["rule 7: a session ends well"]),
    (no_end, ["rule 7: a session ends well", "the end waits for the acks"]),
    (no_status, ["a unary call is answered by these very bytes"]),
    (change_status(no_details), ["an unknown service", "a gap is GAP"]),
    (change_status(no_retry), ["a batch beyond granted_bytes", "rule 11: 256 streams"]),
    (change_status(other_code), ["an unknown service", "rule 9: a negative timeout has expired"]),
    (change_answer(durable_too_early), ["STAGED: staged_seq comes before"]),
    (change_answer(no_rejects), ["reject: an unknown entity"]),
    (change_answer(reject_moved), ["reject: an unknown entity"]),
    (change_answer(reason_other), ["reject: an unknown entity", "reject: a label with a NUL"]),
    (change_answer(counts_wrong), ["a duplicate batch is acknowledged"]),
    (change_answer(epoch_risen), ["Open is answered by Opened"]),
    (change_answer(grant_kept), ["wanted_bytes brings a grant"]),
    (history_changed, ["values of all five types come back exactly through"]),
]


def proxy(address, fault):
    """Serves a client by the gateway at `address`, whose frames go through `fault`."""

    def serve(accepted):
        host, port = address.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as server:

            def forward():
                try:
                    while piece := accepted.recv(1 << 20):
                        server.sendall(piece)
                except OSError:
                    pass
                try:
                    server.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

            threading.Thread(target=forward, daemon=True).start()
            for received in frames_of(server):
                accepted.sendall(fault(*received))

    return serve


def survivors(tests):
    """Claims whose tests no broken server fails."""
    left = list(tests)
    for serve in BROKEN:
        server = Server(serve)
        gateway.Target.address = server.address
        left = [(claim, function) for claim, function in left if checks.run_one(function) is None]
        server.close()
    return [claim for claim, _ in left]


def run(words):
    """How many tests and faults were found out, and how many not."""
    import stop_tests

    address, pid = gateway.Target.address, gateway.Target.pid
    chosen = [
        (claim, function)
        for claim, function, prepares in checks.TESTS
        if not prepares and (not words or any(word in claim for word in words))
    ]
    passed, failed = 0, 0

    real, patience = stop_tests.Gateway, Wire.patience
    stop_tests.Gateway, gateway.Target.is_real, Wire.patience = NoGateway, False, 0.3
    worthless = survivors(chosen)
    stop_tests.Gateway, gateway.Target.is_real, Wire.patience = real, True, patience
    for claim, _ in chosen:
        if claim in worthless:
            print(f"FAILED  no broken server fails the test: {claim}")
            failed += 1
        else:
            passed += 1
    print(f"{passed} of {len(chosen)} tests fail against a broken server")

    Wire.patience = 2.0
    for fault, claims in FAULTS:
        name = fault.__closure__[0].cell_contents.__name__ if fault.__closure__ else fault.__name__
        server = Server(proxy(address, fault))
        for word in claims:
            function = next(function for claim, function, _ in checks.TESTS if word in claim)
            gateway.Target.address = address
            if checks.run_one(function) is not None:
                print(f"FAILED  without a fault the test must pass: {word}")
                failed += 1
                continue
            gateway.Target.address = server.address
            if checks.run_one(function) is None:
                print(f"FAILED  the fault '{name}' is not noticed by: {word}")
                failed += 1
            else:
                print(f"ok      the fault '{name}' is noticed by: {word}")
                passed += 1
        server.close()
    gateway.Target.address, gateway.Target.pid = address, pid
    return passed, failed


def canary():
    """None when a test that must fail is really seen to fail."""
    server, address = Server(says_yes), gateway.Target.address
    patience, Wire.patience = Wire.patience, 0.3
    gateway.Target.address = server.address
    try:
        for claim, function, _ in checks.TESTS[:1]:
            if checks.run_one(function) is None:
                return f"a server that says yes to everything passes: {claim}"
        return None
    finally:
        gateway.Target.address, Wire.patience = address, patience
        server.close()
