"""PostgreSQL dies, in parts or as a whole, or stands still."""

from registry import fault


@fault(short=True)
def backend_killed(world, dice):
    """kill -9 of one backend: PostgreSQL throws every session out and recovers."""
    for _ in range(2):
        world.pause(dice.uniform(0.3, 0.8))
        world.database.kill_backend(dice)


@fault(short=True)
def backend_terminated(world, dice):
    for _ in range(5):
        world.pause(dice.uniform(0.1, 0.4))
        world.database.terminate_backend(dice)


@fault()
def backend_stopped_for_5_s(world, dice):
    world.pause(dice.uniform(0.2, 0.5))
    world.database.stop_backend(dice, 5)


@fault(short=True)
def postgres_killed(world, dice):
    """Immediate stop of the whole server, then a start with crash recovery."""
    for _ in range(2):
        world.pause(dice.uniform(0.3, 0.8))
        world.database.restart()


@fault()
def postgres_stopped_for_5_s(world, dice):
    """Every process of PostgreSQL sleeps; connections stand and nobody answers."""
    world.pause(dice.uniform(0.2, 0.5))
    with world.database.stalled():
        world.pause(5)
