"""Augmentation: a pure function of (seed, epoch, index)."""

import numpy as np
import torch

from waymark.learning import augmentation
from waymark.learning.augmentation import DRAWS, Augmentation

NONE = Augmentation(rotation=0, scale=0, shift=0, shear=0, light=0)
IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def draw(**at: float) -> torch.Tensor:
    names = ["rotation", "scale", "shift_x", "shift_y", "shear", "aspect", "brightness", "contrast", "flip"]
    return torch.tensor([[at.get(name, 0.0) for name in names]]).repeat(len(IMAGES), 1)


def test_without_change_images_stay_as_they_are() -> None:
    draws = torch.from_numpy(augmentation.draws(0, 0, len(IMAGES)))
    assert torch.allclose(NONE(IMAGES, draws), IMAGES, atol=1e-5)


def test_a_quarter_turn_is_a_quarter_turn() -> None:
    turned = Augmentation(rotation=90, scale=0, shift=0, shear=0, light=0)(IMAGES, draw(rotation=1))
    assert torch.allclose(turned, torch.rot90(IMAGES, 1, (2, 3)), atol=1e-4) or torch.allclose(
        turned, torch.rot90(IMAGES, -1, (2, 3)), atol=1e-4
    )


def test_shift_is_in_shares_of_the_side() -> None:
    moved = Augmentation(rotation=0, scale=0, shift=0.25, shear=0, light=0)(IMAGES, draw(shift_x=1))
    assert torch.allclose(moved[..., :12], IMAGES[..., 4:], atol=1e-4)


def test_flip_mirrors_the_images_whose_draw_is_negative() -> None:
    flipped = Augmentation(rotation=0, scale=0, shift=0, shear=0, light=0, flip=True)
    assert torch.allclose(flipped(IMAGES, draw(flip=-0.1)), IMAGES.flip(3), atol=1e-4)
    assert torch.allclose(flipped(IMAGES, draw(flip=0.1)), IMAGES, atol=1e-4)
    assert torch.allclose(NONE(IMAGES, draw(flip=-0.1)), IMAGES, atol=1e-4)


def test_light_changes_brightness_and_contrast_only() -> None:
    lit = Augmentation(rotation=0, scale=0, shift=0, shear=0, light=0.5)(IMAGES, draw(contrast=1, brightness=1))
    means = IMAGES.mean(dim=(1, 2, 3), keepdim=True)
    assert torch.allclose(lit, (IMAGES - means) * 1.5 + means + 0.5, atol=1e-5)


def test_an_image_s_draws_do_not_depend_on_its_batch() -> None:
    strong = Augmentation(rotation=30, scale=0.3, shift=0.1, shear=10, light=0.5)
    draws = torch.from_numpy(augmentation.draws(7, 2, len(IMAGES)))
    assert torch.allclose(strong(IMAGES, draws)[2:3], strong(IMAGES[2:3], draws[2:3]), atol=1e-6)


def test_order_and_draws_are_functions_of_seed_and_epoch() -> None:
    assert (augmentation.order(1, 2, 50) == augmentation.order(1, 2, 50)).all()
    assert sorted(augmentation.order(1, 2, 50)) == list(range(50))
    assert (augmentation.order(1, 2, 50) != augmentation.order(1, 3, 50)).any()
    assert (augmentation.order(1, 2, 50) != augmentation.order(2, 2, 50)).any()
    draws = augmentation.draws(1, 2, 50)
    assert draws.shape == (50, DRAWS)
    assert np.abs(draws).max() <= 1
    assert (draws == augmentation.draws(1, 2, 50)).all()
    assert (draws != augmentation.draws(1, 3, 50)).any()
