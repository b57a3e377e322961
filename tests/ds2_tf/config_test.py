# SPDX-License-Identifier: Apache-2.0
"""Recipes: read from YAML, written back, and errors that name the key."""

import dataclasses
import json

import numpy as np
import pytest
import yaml

from ds2_tf.config import (
    AugmentationConfig,
    ConvolutionConfig,
    ModelConfig,
    Recipe,
    TrainingConfig,
    from_dict,
    to_dict,
)
from ds2_tf.errors import UserError
from ds2_tf.recipes import load_recipe
from ds2_tf.text.alphabet import Alphabet

RECIPE = """
model:
  convolutions:
    - {filters: 32, kernel: [41, 11], stride: [2, 2]}
    - {filters: 32, kernel: [21, 11]}
  recurrent_layers: 3
  recurrent_units: 256
training:
  epochs: 20
  batch_frames: 20000
  learning_rate: 5e-4
  clip_norm: 400
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return load_recipe(path)

    return read


def test_a_recipe(read):
    recipe = read(RECIPE)
    assert recipe.model.convolutions == (
        ConvolutionConfig(32, (41, 11), (2, 2)),
        ConvolutionConfig(32, (21, 11), (1, 1)),
    )
    # YAML 1.1 takes 5e-4 for text, and 400 is an integer.
    assert recipe.training.learning_rate == 5e-4
    assert recipe.training.clip_norm == 400.0
    assert isinstance(recipe.training.clip_norm, float)
    assert Alphabet(recipe.alphabet) == Alphabet.english()
    assert recipe.features.num_bins == 161
    assert recipe.model.bidirectional and recipe.training.sortagrad


def test_round_trip_through_yaml_and_json(read):
    recipe = read(RECIPE + "features: {hop_seconds: 0.02}\nalphabet: 'ab '\n")
    assert recipe.features.hop_samples == 320
    for dump, load in ((yaml.safe_dump, yaml.safe_load), (json.dumps, json.loads)):
        assert from_dict(Recipe, load(dump(to_dict(recipe))), "test") == recipe


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "expected keys and values, got None"),
        ("- 1", r"expected keys and values, got \[1\]"),
        ("{", "is not YAML"),
        (RECIPE + "optimiser: sgd\n", "unknown key optimiser"),
        (RECIPE.replace("epochs", "epoch"), "epoch"),
        (RECIPE.replace("  recurrent_units: 256\n", ""), "recurrent_units"),
        (RECIPE.replace("256", "many"), "recurrent_units"),
        (RECIPE.replace("256", "2.5"), "recurrent_units"),
        (RECIPE.replace("5e-4", "fast"), "fast"),
        (RECIPE.replace("[41, 11]", "[41, 11, 3]"), "kernel"),
        (RECIPE.replace("[41, 11]", "[41, x]"), "kernel"),
        (RECIPE.replace("256", "256\n  cell: mgu"), "gru, lstm, rnn; got 'mgu'"),
        (RECIPE.replace("256", "256\n  lookahead_frames: 9"), "sees the whole future.*got 9"),
        (RECIPE.replace("256", "256\n  causal: true"), "sees the whole future.*got true"),
        (RECIPE + "  optimizer: adam\n", "adamw, sgd; got 'adam'"),
        (RECIPE + "  max_frames: 20001\n", r"max_frames \(20001\) must not exceed.*\(20000\)"),
        (RECIPE + "features: {hop_seconds: 0}\n", "hop"),
    ],
)
def test_mistakes_are_named(read, text, message):
    with pytest.raises(UserError, match=message):
        read(text)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="recipe.yaml cannot be read: No such file"):
        load_recipe(tmp_path / "recipe.yaml")


def test_time_stride_and_output_frames():
    convolutions = (
        ConvolutionConfig(1, (1, 3), (1, 3)),
        ConvolutionConfig(1, (1, 2), (1, 2)),
    )
    model = ModelConfig(convolutions, 1, 1)
    assert model.time_stride == 6
    frames = np.arange(100)
    np.testing.assert_array_equal(model.output_frames(frames), np.ceil(np.ceil(frames / 3) / 2))
    assert model.output_frames(7) == 2


def test_every_field_is_documented():
    """The docstrings are the reference of the recipe format."""
    for cls in (ConvolutionConfig, ModelConfig, TrainingConfig, AugmentationConfig, Recipe):
        for field in dataclasses.fields(cls):
            assert f"    {field.name}: " in cls.__doc__, (cls, field.name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"max_batch_size": 0},
        {"shuffle_buffer": 0},
        {"precision": "mixed_bf16"},
        {"optimizer": "adam"},
        {"learning_rate": -1.0},
        {"annealing": 0.5},
        {"accumulate_batches": 0},
        {"average_decay": 1.0},
        {"patience": -1},
        {"keep_last": True, "patience": 3},
    ],
)
def test_training_refuses(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        TrainingConfig(**{"epochs": 1, "batch_frames": 4000, **wrong})


@pytest.mark.parametrize(
    "wrong", [{"first_epoch": 0}, {"frequency_warp": (1.1, 0.9)}, {"frequency_warp": (0.0, 1.0)}]
)
def test_augmentation_refuses(wrong):
    (name,) = wrong
    with pytest.raises(UserError, match=name):
        AugmentationConfig(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"recurrent_layers": -1},
        {"recurrent_units": 0},
        {"dropout": 1.0},
        {"dropout": -0.5},
        {"cell": "GRU"},
        {"bidirectional": False, "lookahead_frames": -1},
    ],
)
def test_model_refuses(wrong):
    convolution = ConvolutionConfig(2, (11, 5))
    with pytest.raises(UserError, match=list(wrong)[-1]):
        ModelConfig(
            **{"convolutions": (convolution,), "recurrent_layers": 1}
            | {"recurrent_units": 8}
            | wrong
        )


@pytest.mark.parametrize("kernel, stride", [((3, 1), (1, 2)), ((0, 1), (1, 1)), ((3, 3), (0, 1))])
def test_convolution_refuses(kernel, stride):
    with pytest.raises(UserError, match="kernel"):
        ConvolutionConfig(2, kernel, stride)


class TestAlphabet:
    def test_with_bigrams(self, read):
        recipe = read(RECIPE + 'alphabet: [" ", t, h, e, th]')
        assert recipe.alphabet == (" ", "t", "h", "e", "th")
        assert from_dict(Recipe, to_dict(recipe), "") == recipe

    def test_from_a_file_beside_the_recipe(self, read, tmp_path):
        Alphabet("äöü ").save(tmp_path / "alphabet.txt")
        assert read(RECIPE + "alphabet_file: alphabet.txt").alphabet == "äöü "

    def test_a_missing_file_is_named(self, read):
        with pytest.raises(UserError, match="other.txt cannot be read"):
            read(RECIPE + "alphabet_file: other.txt")

    def test_not_both(self, read):
        with pytest.raises(UserError, match="both alphabet and alphabet_file"):
            read(RECIPE + "alphabet: abc\nalphabet_file: alphabet.txt")
