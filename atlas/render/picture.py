"""The map as a PNG, for print and where there is no JavaScript: drawn with numpy, packed with zlib.

A picture of some ten flat colours needs no imaging library: an indexed PNG is three chunks of bytes (W3C, "Portable
Network Graphics", https://www.w3.org/TR/png-3/). Its ground is transparent and its colours have a contrast of 3:1 or
more on white as on the dark scheme's ground, so one picture serves both.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from atlas.render.points import SIDE, Points

PIXELS = 1200
GREY = (140, 148, 156)
COLOURS = (
    (209, 73, 91), (46, 134, 171), (190, 112, 0), (58, 143, 77), (143, 95, 192),
    (176, 84, 140), (26, 148, 136), (138, 122, 28), (93, 122, 153), (179, 98, 58),
)  # fmt: skip
"""Of clusters, by number, beginning anew after the last; site_src/assets/map-colours.js and atlas.css have the same."""
_DISC = ((0, 0), (1, 0), (0, 1), (1, 1), (-1, 0), (-1, 1), (2, 0), (2, 1), (0, -1), (1, -1), (0, 2), (1, 2))
_DOT = ((0, 0), (1, 0), (0, 1), (1, 1))
_MANY = 20_000
_MARGIN = 6


def picture(found: Points) -> bytes:
    """A square PNG of `PIXELS`, features outside all clusters in grey and below the others."""
    image = np.zeros((PIXELS, PIXELS), np.uint8)
    scale = (PIXELS - 2 * _MARGIN) / SIDE
    x, y = (np.round(_MARGIN + axis * scale).astype(np.int64) for axis in (found.x, found.y))
    colour = np.where(found.cluster == 0, 1, 2 + (found.cluster.astype(np.int64) - 1) % len(COLOURS)).astype(np.uint8)
    order = np.argsort(colour > 1, kind="stable")
    for right, down in _DOT if len(order) > _MANY else _DISC:
        image[y[order] + down, x[order] + right] = colour[order]
    return png(image, [(0, 0, 0), GREY, *COLOURS])


def png(image: np.ndarray, palette: list[tuple[int, int, int]]) -> bytes:
    """An indexed PNG whose colour 0 is transparent.

    Args:
        image: uint8 [height, width], places in the palette.
        palette: Red, green and blue, 0 to 255.
    """
    height, width = image.shape
    rows = np.hstack([np.zeros((height, 1), np.uint8), image])  # each begins with its filter: none
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", bytes(value for colour in palette for value in colour)),
            _chunk(b"tRNS", b"\0"),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
