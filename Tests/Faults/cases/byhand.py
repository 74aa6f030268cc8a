"""Duplicates, gaps, conflicts and other batches that a wrong, or a restarted, client may send."""

from byhand import Hand
from registry import fault


def lane_of(world):
    return world.producers[0].lane


@fault()
def duplicates_by_hand(world, dice):
    """Each batch is sent again: at once, later, and in another session. A repeat is an ack."""
    hand = Hand(world, lane_of(world), dice)
    hand.open(world.gateways[0])
    for first in range(1, 2_000, 100):
        hand.send(first, 100)
        if dice.random() < 0.5:
            hand.send(first, 100)  # before the first one is acknowledged
        hand.wait(first + 99)
        again = dice.randrange(1, first + 1, 100)
        hand.send(again, 100)
        if dice.random() < 0.3:
            hand.open(dice.choice(world.gateways))
    counts = hand.session.ack.counts if hand.session.ack else None
    world.witnesses.append(hand.promise())
    if counts:
        world.note(f"last session: {counts.duplicate} duplicates, {counts.written} written")


@fault()
def gaps_by_hand(world, dice):
    """A batch beyond the next number is refused with the number that is expected."""
    hand = Hand(world, lane_of(world), dice)
    next_first = 1
    for _ in range(8):
        hand.open(dice.choice(world.gateways))
        hand.write(next_first, 50)
        next_first += 50
        hand.send(next_first + dice.randrange(1, 500), 50)
        error = hand.refused("GAP")
        if str(next_first) not in error.message + str(error.info.metadata):
            raise AssertionError(f"the refusal does not name {next_first}: {error.message}")
    world.witnesses.append(hand.promise())
    hand.check_nothing_beyond()


@fault()
def conflicts_by_hand(world, dice):
    """Other values under numbers that are taken: loudly refused, and nothing is changed."""
    hand = Hand(world, lane_of(world), dice)
    for turn in range(8):
        hand.open(dice.choice(world.gateways))
        first = turn * 100 + 1
        hand.write(first, 100)
        hand.send(first, 100, factor=0.25)
        hand.refused("SEQ_CONFLICT")
    world.witnesses.append(hand.promise())
    hand.check_nothing_beyond()


@fault(short=True)
def rebatched_by_hand(world, dice):
    """A client that forgot where it cut its batches sends the same values in other pieces."""
    hand = Hand(world, lane_of(world), dice)
    for _ in range(12):
        hand.open(dice.choice(world.gateways))
        first = max(1, hand.durable + 1 - dice.randrange(0, 300))
        for _ in range(4):
            # Each piece reaches beyond what is there; what it repeats is skipped.
            last = max(hand.durable, first) + dice.randrange(1, 120)
            hand.write(first, last - first + 1)
            first = max(1, last + 1 - dice.randrange(0, 200))
    world.witnesses.append(hand.promise())
    hand.check_nothing_beyond()


@fault()
def bad_frames_in_mid_session(world, dice):
    """Oversized and malformed frames between good batches of one healthy connection."""
    hand = Hand(world, lane_of(world), dice)
    hand.open(world.gateways[0])
    connection, next_first = hand.connection, 1
    survivable = [
        hand.protocol.header(5 << 20, 101, 1) + bytes(5 << 20),  # too long: refused, skipped
        hand.protocol.frame(103, 9, b"x"),                        # of an unknown type
        hand.protocol.frame(104, 1, b"x"),                        # a number only servers may use
        hand.protocol.frame(105, 3, b"x"),                        # data without a stream
        hand.protocol.frame(107, 1, b"\xff\xff\xff"),             # a request that is no message
    ]
    for _ in range(3):
        dice.shuffle(survivable)
        for data in survivable:
            connection.send(data)
            send_beside_answers(hand, next_first)
            next_first += 50
    # A first byte that is not 0 is no frame at all: that ends the connection, not the producer.
    connection.send(b"\xff" * 64)
    connection.expect_closed(5)
    hand.open(world.gateways[1])
    hand.write(next_first, 50)
    world.witnesses.append(hand.promise())
    hand.check_nothing_beyond()


def send_beside_answers(hand, first):
    """A batch, while answers to bad frames come on other streams of the connection."""
    hand.send(first, 50)
    while hand.durable < first + 49:
        received = hand.connection.receive(10)
        if received.stream != hand.session.stream:
            continue
        message = hand.protocol.ingest_pb2.WriteResponse.FromString(received.body)
        if received.kind != 3 or message.WhichOneof("message") != "ack":
            raise AssertionError(f"the session was disturbed: {received}")
        hand.durable = max(hand.durable, message.ack.durable_seq)
