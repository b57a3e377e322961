# SPDX-License-Identifier: Apache-2.0
"""Presets: the sizes that their names say, the front ends of the paper's table."""

import pytest

from ds2_tf.config import Recipe, TrainingConfig
from ds2_tf.errors import UserError
from ds2_tf.models.cost import network_cost
from ds2_tf.models.presets import FRONT_ENDS, PRESETS, preset
from ds2_tf.recipes import load_recipe


@pytest.mark.parametrize(
    "name, millions",
    [
        ("english-18m", 18),
        ("english-38m", 38),
        ("english-70m", 70),
        ("english-100m", 100),
        ("english-gru-100m", 100),
        ("mandarin", 80),
    ],
)
def test_size_is_that_of_the_name(name, millions):
    chosen = PRESETS[name]
    parameters = network_cost(chosen.model, chosen.num_labels).parameters
    assert parameters == pytest.approx(millions * 1e6, rel=0.01)
    assert len(chosen.model.convolutions) == 2 and chosen.model.recurrent_layers == 7
    assert chosen.model.bidirectional


@pytest.mark.parametrize(
    "name, channels, taps, stride, last_shape",
    [
        ("1-layer-1d", (1280,), (11,), 2, (1, 1280)),
        ("2-layer-1d", (640, 640), (5, 5), 2, (1, 640)),
        ("3-layer-1d", (512, 512, 512), (5, 5, 5), 2, (1, 512)),
        ("1-layer-2d", (32,), (11,), 2, (81, 32)),
        ("2-layer-2d", (32, 32), (11, 11), 2, (41, 32)),
        ("3-layer-2d", (32, 32, 96), (11, 11, 11), 2, (21, 96)),
    ],
)
def test_front_ends_of_the_paper(name, channels, taps, stride, last_shape):
    """Channels and taps of the table; [bins, channels] of the last layer by hand."""
    convolutions = FRONT_ENDS[name]
    assert tuple(layer.filters for layer in convolutions) == channels
    assert tuple(layer.kernel[1] for layer in convolutions) == taps
    model = PRESETS[f"english-{name}"].model
    assert model.time_stride == stride
    last = network_cost(model, 29, seconds=1.0).layers[len(convolutions) - 1]
    assert last.output_shape == (1, 50, *last_shape)


@pytest.mark.parametrize("name", ["english-deployment", "mandarin-deployment"])
def test_deployment_models_stream(name):
    model = PRESETS[name].model
    assert (model.recurrent_layers, model.recurrent_units, model.cell) == (5, 2560, "gru")
    # 19 output frames of 20 ms.
    assert network_cost(model, 29).lookahead_milliseconds == pytest.approx(380.0)


def test_a_recipe_may_name_a_preset(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("model: small-streaming\ntraining: {epochs: 1, batch_frames: 4000}\n")
    expected = Recipe(PRESETS["small-streaming"].model, TrainingConfig(1, 4000))
    assert load_recipe(path) == expected
    path.write_text("model: smal\ntraining: {epochs: 1, batch_frames: 4000}\n")
    with pytest.raises(UserError, match="no preset 'smal'; choose one of english-18m, .*tiny"):
        load_recipe(path)


def test_a_name_gives_its_preset():
    assert preset("tiny") is PRESETS["tiny"]
