"""Pictures that show no class: a network learns from them to be unsure of what it does not know.

Outlier exposure (Hendrycks et al. 2019, arXiv:1812.04606), without a data set of outliers: half are training images
with their tiles shuffled, of a class's texture and colours but not of its shape; half are colours with noise over them,
from grain to clouds, down to a blank. Their target is the same probability for every class.
"""

from torch import Tensor

NO_CLASS = -1  # their label
TILES = 4  # a side: of a sign's quarters one can still tell the sign
SHUFFLES = TILES * TILES  # random numbers that one image's shuffle takes
STRONGEST = 0.3  # standard deviation of the noise over a colour, of the range from black to white


def shuffled(images: Tensor, draws: Tensor) -> Tensor:
    """(N, 3, S, S) with each one's TILES × TILES tiles in the order of its `draws`, (N, SHUFFLES).

    Tiles are of whole pixels: where TILES does not divide S, the last rows and columns stay.
    """
    tile = images.shape[-1] // TILES
    whole = images[..., : tile * TILES, : tile * TILES]
    tiles = whole.unfold(2, tile, tile).unfold(3, tile, tile).flatten(2, 3)  # (N, 3, SHUFFLES, tile, tile)
    order = draws.argsort(dim=1).view(-1, 1, SHUFFLES, 1, 1).expand_as(tiles)
    moved = tiles.gather(2, order).unflatten(2, (TILES, TILES)).transpose(3, 4)
    result = images.clone()
    result[..., : tile * TILES, : tile * TILES] = moved.reshape(whole.shape)
    return result


def clouded(colours: Tensor, strength: Tensor, textures: Tensor) -> Tensor:
    """(N, 3, S, S): `colours`, (N, 3) in [0, 1], under `textures`, (N, 3, S, S), of `strength` (N,) in [0, 1)."""
    return colours[..., None, None] + STRONGEST * strength.view(-1, 1, 1, 1) * textures
