"""Gateways that die, sleep, or stop in order."""

import signal

from registry import fault


@fault(short=True)
def gateway_killed(world, dice):
    for _ in range(3):
        world.pause(dice.uniform(0.2, 0.6))
        gateway = dice.choice(world.gateways)
        gateway.kill()
        world.pause(dice.uniform(0, 0.3))
        gateway.start()


@fault()
def gateway_stopped_for_5_s(world, dice):
    gateway = world.gateways[0]
    world.pause(dice.uniform(0.2, 0.6))
    gateway.signal(signal.SIGSTOP)
    world.pause(5)
    gateway.signal(signal.SIGCONT)


@fault()
def zombie_gateway(world, dice):
    """A gateway sleeps inside its work; its producers go on over the other, then it wakes."""
    world.pause(dice.uniform(0.2, 0.6))
    gateway = world.gateways[0]
    gateway.signal(signal.SIGSTOP)
    for producer in world.producers:
        producer.kill()
        producer.start(world.gateways[1:])
    world.pause(2)
    gateway.signal(signal.SIGCONT)
    world.pause(1)


@fault()
def handover(world, dice):
    """Producers move from one gateway to the other in the middle of their batches."""
    for turn in range(4):
        world.pause(dice.uniform(0.2, 0.5))
        for producer in world.producers:
            producer.kill()
            producer.start([world.gateways[turn % 2]])


@fault()
def gateway_drained(world, dice):
    for gateway in world.gateways:
        world.pause(dice.uniform(0.3, 0.6))
        status = gateway.drain()
        if status != 0:
            raise AssertionError(f"a drained gateway exits with 0, not {status}")
        gateway.start()
