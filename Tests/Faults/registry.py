"""The list of faults; a case registers itself with `@fault`."""

from dataclasses import dataclass
from typing import Callable

from world import World, four_producers

LANES = ("durable", "staged")


@dataclass
class Fault:
    """One case: what happens, to whom, and where."""

    inject: Callable
    short: bool
    lanes: tuple
    uses_link: bool
    producers: Callable
    make_world: Callable | None

    @property
    def name(self):
        return self.inject.__name__


FAULTS = {}


def fault(short=False, lanes=LANES, link=False, producers=four_producers, world=None):
    """Registers a function that gets the world and the dice, injects and mends.

    `short`: part of scripts/test --all. `link`: producers go through a link that can be cut.
    `world`: makes a world that this case may ruin.
    """

    def register(function):
        made = Fault(function, short, lanes, link, producers, world)
        assert made.name not in FAULTS, f"two faults are called {made.name}"
        FAULTS[made.name] = made
        return function

    return register


def own_world(**options):
    """A maker of worlds for cases that need something special."""

    def make(folder, binaries, gateway_binary):
        return World(folder, binaries, gateway_binary, **options)

    return make
