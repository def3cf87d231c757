import numpy as np

from waymark.datasets.drawing.chance import NOISE, Chance


def test_stream_is_the_same_for_ever() -> None:
    chance = Chance(0, 1, 2)
    drawn = [chance.uniform(0, 1), chance.uniform(-5, 5), chance.one_of("abcdef"), chance.noise((3,)).tolist()]
    assert drawn == [0.8817035384837327, -2.1082338614081597, "a", [197, -303, -41]]


def test_every_part_of_the_seed_counts() -> None:
    first = {seed: Chance(*seed).uniform(0, 1) for seed in [(0, 1), (1, 0), (0, 2), (0, 1, 1)]}
    assert len(set(first.values())) == 4


def test_noise_is_centred_with_the_spread_it_states() -> None:
    noise = Chance(3).noise((101, 99))
    assert noise.shape == (101, 99)
    assert abs(noise.mean()) < 5
    assert abs(noise.std() - NOISE) < 3
    assert np.abs(noise).max() <= 510


def test_shuffling_keeps_every_item() -> None:
    shuffled = Chance(0).shuffled(range(50))
    assert shuffled != list(range(50))
    assert sorted(shuffled) == list(range(50))
