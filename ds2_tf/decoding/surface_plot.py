# SPDX-License-Identifier: Apache-2.0
"""The word error rate over alpha and beta, as a picture."""

from __future__ import annotations

import importlib.util
import os

from ds2_tf.decoding.tuning import Tuning
from ds2_tf.errors import UserError

_CELL_WIDTH, _CELL_HEIGHT = 64, 28
_MARGIN = 72
_BEST, _WORST = (38, 130, 142), (253, 231, 37)


def check_installed() -> None:
    """Says what is missing for a picture, before anything is measured.

    Raises:
        UserError: Pillow is not installed.
    """
    if importlib.util.find_spec("PIL") is None:
        raise UserError("Plotting needs Pillow: pip install pillow.")


def plot_surface(tuning: Tuning, path: str | os.PathLike) -> None:
    """Writes a PNG: a row for each alpha, a column for each beta, the best one framed.

    Combinations that were not measured stay white. It takes Pillow: see `check_installed`.
    """
    from PIL import Image, ImageDraw

    alphas = sorted({alpha for alpha, _ in tuning.surface}, reverse=True)
    betas = sorted({beta for _, beta in tuning.surface})
    rates = {point: m.words.rate for point, m in tuning.surface.items()}
    low, high = min(rates.values()), max(rates.values())
    size = (_MARGIN + _CELL_WIDTH * len(betas) + 8, _MARGIN + _CELL_HEIGHT * len(alphas) + 8)
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    draw.text((8, 8), f"WER in %, {low:.2%} to {high:.2%}", fill="black")
    draw.text((8, _MARGIN - 40), "rows: alpha, columns: beta", fill="black")
    for column, beta in enumerate(betas):
        at = (_MARGIN + _CELL_WIDTH * column + 12, _MARGIN - 20)
        draw.text(at, f"{beta:.4g}", fill="black")
    for row, alpha in enumerate(alphas):
        top = _MARGIN + _CELL_HEIGHT * row
        draw.text((8, top + 8), f"{alpha:.4g}", fill="black")
        for column, beta in enumerate(betas):
            if (alpha, beta) not in rates:
                continue
            rate = rates[alpha, beta]
            # The square root tells the good ones apart.
            share = ((rate - low) / (high - low)) ** 0.5 if high > low else 0.0
            color = tuple(round(b + share * (w - b)) for b, w in zip(_BEST, _WORST))
            left = _MARGIN + _CELL_WIDTH * column
            box = (left, top, left + _CELL_WIDTH - 2, top + _CELL_HEIGHT - 2)
            is_best = (alpha, beta) == (tuning.options.alpha, tuning.options.beta)
            draw.rectangle(box, color, "red" if is_best else color, 3)
            draw.text((left + 12, top + 8), f"{100 * rate:.2f}", fill="black")
    image.save(path, "PNG")
