"""The way between producers and gateways is cut, reset, half open, slow or thin."""

from registry import fault


@fault(link=True)
def link_cut(world, dice):
    for _ in range(4):
        world.pause(dice.uniform(0.1, 0.5))
        world.link.cut()


@fault(short=True, link=True)
def link_reset(world, dice):
    for _ in range(4):
        world.pause(dice.uniform(0.1, 0.5))
        world.link.reset()


@fault(link=True)
def link_half_open(world, dice):
    """Nothing comes through any more and nobody is told; later the way is free for new ones."""
    world.pause(dice.uniform(0.2, 0.5))
    world.link.freeze()
    world.pause(1)
    world.link.thaw_new()
    # A client finds out by a Ping without Pong: five seconds of silence and five of waiting.
    world.pause(11)


@fault(link=True)
def link_slow(world, dice):
    world.link.delay = 0.05
    world.pause(2)
    world.link.delay = 0


@fault(link=True)
def link_one_byte(world, dice):
    world.link.piece = 1
    world.pause(2)
    world.link.piece = None
