"""Random histories of the money core. A failure prints its seed; SPENDRA_SIMULATOR_SEED=<seed> plays it again."""

import os
import secrets

import pytest

from apps.budgets.verifying import verify
from tests.databases import Database

pytest.register_assert_rewrite("tests.simulator.company", "tests.simulator.world")

from tests.simulator.world import World  # noqa: E402

REPLAYED = os.environ.get("SPENDRA_SIMULATOR_SEED")


def play(database: Database, seed: int, steps: int) -> None:
    print(f"simulator seed {seed}, replay it with SPENDRA_SIMULATOR_SEED={seed}")
    world = World(database, seed)
    try:
        for number in range(steps):
            print(number, world.step())
            if number % 50 == 49:
                assert list(verify()) == []
    finally:
        world.close()
    assert list(verify()) == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_history_agrees_with_the_reference_after_every_step(database: Database, seed: int) -> None:
    play(database, seed, steps=250)


def test_a_new_history_agrees_with_the_reference_after_every_step(database: Database) -> None:
    play(database, int(REPLAYED) if REPLAYED else secrets.randbits(32), steps=250)


@pytest.mark.system
@pytest.mark.timeout(1800)
def test_many_new_histories_agree_with_the_reference(database: Database) -> None:
    play(database, int(REPLAYED) if REPLAYED else secrets.randbits(32), steps=6000)
