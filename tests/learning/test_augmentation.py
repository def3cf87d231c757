"""Augmentation: a pure function of (seed, epoch, index)."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from waymark.learning import augmentation, outliers
from waymark.learning.augmentation import DRAWS, Augmentation, Draw
from waymark.learning.outliers import NO_CLASS

IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(4)


def draw(**at: float) -> torch.Tensor:
    given = [at.get(each.name.lower(), 0.0) for each in Draw]
    return torch.tensor([given + [0.0] * (DRAWS - len(given))]).repeat(len(IMAGES), 1)


def changed(augment: Augmentation, draws: torch.Tensor) -> torch.Tensor:
    images, labels = augment(IMAGES, LABELS, draws)
    assert torch.equal(labels, LABELS)
    return images


def test_without_change_images_stay_as_they_are() -> None:
    draws = torch.from_numpy(augmentation.draws(0, 0, len(IMAGES)))
    assert torch.allclose(changed(Augmentation(), draws), IMAGES, atol=1e-5)


def test_a_quarter_turn_is_a_quarter_turn() -> None:
    turned = changed(Augmentation(rotation=90), draw(rotation=1))
    assert torch.allclose(turned, torch.rot90(IMAGES, 1, (2, 3)), atol=1e-4) or torch.allclose(
        turned, torch.rot90(IMAGES, -1, (2, 3)), atol=1e-4
    )


def test_shift_is_in_shares_of_the_side() -> None:
    moved = changed(Augmentation(shift=0.25), draw(shift_x=1))
    assert torch.allclose(moved[..., :12], IMAGES[..., 4:], atol=1e-4)


def test_zoomed_out_by_a_whole_shows_the_image_at_half_its_side_with_its_border_repeated() -> None:
    small = changed(Augmentation(zoom_out=1), draw())
    assert torch.allclose(small[..., 4:12, 4:12], F.avg_pool2d(IMAGES, 2), atol=1e-4)
    assert torch.allclose(small[..., 0, 0], IMAGES[..., 0, 0], atol=1e-4)


def test_aspect_is_the_ratio_of_the_sides_and_keeps_the_area() -> None:
    augment = Augmentation(aspect=4)
    for at, sides in ((1, (2, 0.5)), (-1, (0.5, 2)), (0, (1, 1)), (0.5, (2**0.125, 0.5**0.125))):
        maps = augment.matrices(draw(aspect=at))[0]
        assert maps.flatten().tolist() == pytest.approx([sides[0], 0, 0, 0, sides[1], 0])


def test_an_image_whose_draw_is_negative_is_mirrored_where_its_class_has_a_mirror_image() -> None:
    mirror = Augmentation(mirrored=(0, 2, 1, -1))
    images, labels = mirror(IMAGES, LABELS, draw(mirror=-0.1))
    assert labels.tolist() == [0, 2, 1, 3]
    assert torch.allclose(images[:3], IMAGES[:3].flip(3), atol=1e-4)
    assert torch.allclose(images[3], IMAGES[3], atol=1e-4)
    assert torch.allclose(changed(mirror, draw(mirror=0.1)), IMAGES, atol=1e-4)


def test_light_changes_brightness_and_contrast_only() -> None:
    lit = changed(Augmentation(light=0.5), draw(contrast=1, brightness=0.25))
    means = IMAGES.mean(dim=(1, 2, 3), keepdim=True)
    assert torch.allclose(lit, (IMAGES - means) * 0.5 + means + 0.05, atol=1e-5)


def test_more_contrast_is_the_inverse_of_less() -> None:
    lit = changed(Augmentation(light=0.5), draw(contrast=-1))
    means = IMAGES.mean(dim=(1, 2, 3), keepdim=True)
    assert torch.allclose(lit, ((IMAGES - means) * 2 + means).clamp(0, 1), atol=1e-5)


def test_colour_changes_one_channel_by_its_share() -> None:
    tinted = changed(Augmentation(colour=0.2), draw(green=-1))
    assert torch.allclose(tinted, IMAGES * torch.tensor([1, 0.8, 1]).view(1, 3, 1, 1), atol=1e-5)


def test_blur_averages_a_share_of_the_images() -> None:
    some = Augmentation(blur=0.5)
    assert torch.allclose(changed(some, draw(blur=0.1)), IMAGES, atol=1e-5)
    blurred = changed(some, draw(blur=-0.99))
    assert blurred.std() < 0.7 * IMAGES.std()
    assert torch.allclose(blurred.mean((2, 3)), IMAGES.mean((2, 3)), atol=0.02)


def test_blur_that_moved_along_one_axis_keeps_the_other() -> None:
    stripes = torch.zeros(1, 3, 16, 16)
    stripes[..., ::2] = 1
    along = (2 * (augmentation.CELLS.index((4, 1)) + 0.5) / len(augmentation.CELLS)) - 1
    across = (2 * (augmentation.CELLS.index((1, 4)) + 0.5) / len(augmentation.CELLS)) - 1
    for at, kept in ((along, True), (across, False)):
        blurred, _ = Augmentation(blur=1)(stripes, torch.zeros(1, dtype=torch.int64), draw(blur=at)[:1])
        assert (blurred.std() > 0.4) == kept


def test_noise_falls_on_half_of_the_images_and_has_the_spread_that_was_drawn() -> None:
    grey = torch.full((4, 3, 16, 16), 0.5)
    for at, spread in ((-0.5, 0.0), (0.5, 0.05)):
        noisy, _ = Augmentation(noise=0.1)(grey, LABELS, draw(noise=at))
        assert noisy.std(dim=(1, 2, 3)).tolist() == pytest.approx([spread] * 4, abs=1e-3)


def test_textures_go_from_grain_to_clouds_in_colour_and_in_grey() -> None:
    textures = augmentation.textures(16)
    assert textures.std(dim=(1, 2, 3), correction=0).tolist() == pytest.approx([1] * len(textures), abs=1e-4)
    neighbours = (textures[..., 1:] - textures[..., :-1]).std(dim=(1, 2, 3))
    half = len(textures) // 2
    for first, last in ((0, half - 1), (half, -1)):
        assert neighbours[first] > 3 * neighbours[last]
    assert torch.equal(textures[half:, 0], textures[half:, 2])
    assert not torch.equal(textures[:half, 0], textures[:half, 2])


def test_outliers_have_no_class_and_the_others_stay_as_they_are() -> None:
    some = Augmentation(outliers=0.25)
    images, labels = some(IMAGES, LABELS, draw(outlier=-0.4))
    assert labels.tolist() == [0, 1, 2, 3]
    assert torch.allclose(images, IMAGES, atol=1e-5)
    assert some(IMAGES, LABELS, draw(outlier=-0.6))[1].tolist() == [NO_CLASS] * 4


def test_half_of_the_outliers_are_images_with_their_tiles_shuffled() -> None:
    draws = torch.from_numpy(augmentation.draws(5, 0, len(IMAGES)))
    draws[:, Draw.MIRROR] = -0.5
    images, _ = Augmentation(outliers=1)(IMAGES, LABELS, draws)
    assert not torch.allclose(images, IMAGES, atol=0.1)
    for image, shuffled in zip(IMAGES, images, strict=True):
        assert torch.allclose(_tile_sums(image), _tile_sums(shuffled), atol=1e-4)


def _tile_sums(image: torch.Tensor) -> torch.Tensor:
    """The sum of each of the 4 × 4 tiles, sorted."""
    sums = image.reshape(3, 4, 4, 4, 4).sum(dim=(0, 2, 4))
    return torch.sort(sums.flatten()).values


def test_the_other_half_is_a_colour_under_noise_down_to_a_blank() -> None:
    images, _ = Augmentation(outliers=1)(IMAGES, LABELS, draw(mirror=0.5, noise=-1, red=1, green=-1, blue=0))
    assert torch.allclose(images, torch.tensor([1, 0, 0.5]).view(1, 3, 1, 1).expand_as(IMAGES))
    images, _ = Augmentation(outliers=1)(IMAGES, LABELS, draw(mirror=0.5, noise=0))
    assert images.std(dim=(1, 2, 3)).tolist() == pytest.approx([outliers.STRONGEST / 2] * 4, abs=0.01)


def test_nothing_leaves_the_range_from_black_to_white() -> None:
    strong = Augmentation(light=0.8, colour=0.5, noise=0.5)
    images = changed(strong, torch.from_numpy(augmentation.draws(3, 0, len(IMAGES))))
    assert (images.min().item(), images.max().item()) == (0, 1)


def test_an_image_s_draws_do_not_depend_on_its_batch() -> None:
    strong = Augmentation(
        rotation=30,
        zoom_out=0.1,
        scale=0.3,
        aspect=2,
        shift=0.1,
        shear=10,
        light=0.5,
        colour=0.2,
        blur=0.9,
        noise=0.3,
        outliers=0.5,
        mirrored=(1, 0, 3, 2),
    )
    draws = torch.from_numpy(augmentation.draws(7, 2, len(IMAGES)))
    whole, labels = strong(IMAGES, LABELS, draws)
    for index in range(len(IMAGES)):
        alone, label = strong(IMAGES[[index]], LABELS[[index]], draws[[index]])
        assert torch.allclose(whole[index], alone[0], atol=1e-6)
        assert labels[index] == label[0]


def test_order_and_draws_are_functions_of_seed_and_epoch() -> None:
    assert (augmentation.order(1, 2, 50) == augmentation.order(1, 2, 50)).all()
    assert sorted(augmentation.order(1, 2, 50)) == list(range(50))
    assert (augmentation.order(1, 2, 50) != augmentation.order(1, 3, 50)).any()
    assert (augmentation.order(1, 2, 50) != augmentation.order(2, 2, 50)).any()
    draws = augmentation.draws(1, 2, 50)
    assert draws.shape == (50, DRAWS)
    assert np.abs(draws).max() <= 1
    assert (draws == augmentation.draws(1, 2, 50)).all()
    assert (draws[:20] == augmentation.draws(1, 2, 20)).all()
    assert (draws != augmentation.draws(1, 3, 50)).any()
