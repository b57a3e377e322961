# SPDX-License-Identifier: Apache-2.0
"""Recipes: read from YAML, written back, and errors that name the key."""

import dataclasses
import json

import numpy as np
import pytest
import yaml

from ds2_tf.config import (
    AudioAugmentationConfig,
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

INFINITE, NAN = float("inf"), float("nan")
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
        ("", "expected keys and values, got nothing"),
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
        (RECIPE + "features: {hop_seconds: 0}\n", r"features\.hop_seconds must be over 0; got 0"),
    ],
)
def test_mistakes_are_named(read, text, message):
    with pytest.raises(UserError, match=message):
        read(text)


def with_model(change):
    return RECIPE.replace("  recurrent_units: 256\n", f"  recurrent_units: 256\n  {change}\n")


def with_training(change):
    return f"{RECIPE}  {change}\n"


def with_augmentation(change):
    return with_training(f"augmentation: {{{change}}}")


def with_audio(change):
    return with_augmentation(f"audio: {{{change}}}")


@pytest.mark.parametrize(
    "text, message",
    [
        # Types.
        (with_model("dropout: much"), "model.dropout must be a number; got 'much'"),
        (RECIPE.replace("256", "true"), "model.recurrent_units must be a whole number; got true"),
        (RECIPE.replace("5e-4", "true"), "training.learning_rate must be a number; got true"),
        (with_training("sortagrad: 1"), "training.sortagrad must be true or false; got 1"),
        (with_training("optimizer: no"), "training.optimizer must be text; got false: YAML reads"),
        (with_training("optimizer:"), "training.optimizer must be text; got nothing: leave"),
        (
            RECIPE.replace("[41, 11]", "21"),
            "model.convolutions[0].kernel must be a list of 2 whole numbers; got 21",
        ),
        (
            RECIPE.replace("[21, 11]", "[21]"),
            "model.convolutions[1].kernel must be a list of 2 whole numbers; got [21]",
        ),
        (
            RECIPE.replace("[41, 11]", "[41, x]"),
            "model.convolutions[0].kernel[1] must be a whole number; got 'x'",
        ),
        (
            "model: {convolutions: {filters: 3}}",
            "model.convolutions must be a list, each item keys and values (filters, kernel, "
            "stride); got {'filters': 3}",
        ),
        ("model: 5", "model must be a network, or the name of a preset; got 5"),
        ("model: tinny", "model: There is no preset 'tinny'"),
        (
            with_audio("speed: [0.9]"),
            "training.augmentation.audio.speed must be a list of 2 numbers; got [0.9]",
        ),
        (RECIPE + "alphabet: 12\n", "alphabet must be text or a list of texts; got 12: put it in"),
        (
            RECIPE + "alphabet: [n, o, no, on]\n",
            "alphabet[2] must be text; got false: YAML reads yes, no, on and off as true and false;"
            " put it in quotes",
        ),
        # Keys.
        (
            RECIPE + "features: {nosuch: 1}\n",
            "unknown key features.nosuch; the keys of features are sample_rate, window_seconds",
        ),
        (
            RECIPE + "1: 2\n",
            "unknown key 1; the keys are model, training, alphabet, features, alpha",
        ),
        (RECIPE.replace("  epochs: 20\n", ""), "training.epochs is missing"),
        (
            RECIPE.replace("filters: 32, kernel: [21, 11]", "filters: 32"),
            "model.convolutions[1].kernel is missing",
        ),
        # Values.
        (
            with_audio("speed: [1.2, 0.8]"),
            "training.augmentation.audio.speed must be two finite numbers over 0, the lower first; "
            "got [1.2, 0.8]",
        ),
        (
            RECIPE.replace("20000", "2000"),
            "training.max_frames (3000, the default) must not exceed batch_frames (2000)",
        ),
        (
            with_augmentation("frequency_mask_bins: 1000"),
            "training.augmentation.frequency_mask_bins must be at most 161, the bins that features "
            "gives; got 1000",
        ),
        (RECIPE + "alphabet: ''\n", "alphabet '' is impossible: An alphabet needs at least one"),
        (
            RECIPE + "alphabet: aab\n",
            "alphabet 'aab' is impossible: The alphabet lists these labels twice: ['a']",
        ),
        (with_model("causal: true"), "model: A bidirectional model sees the whole future"),
    ],
)
def test_messages_have_the_file_the_whole_key_and_the_value(read, tmp_path, text, message):
    with pytest.raises(UserError) as raised:
        read(text)
    assert str(raised.value).startswith(f"{tmp_path / 'recipe.yaml'}: {message}")


def test_a_long_value_is_cut_short_in_messages(read):
    with pytest.raises(UserError, match="alphabet 'xyxyxy.*is impossible") as raised:
        read(f"{RECIPE}alphabet: {'xy' * 500}\n")
    assert len(str(raised.value)) < 400


def test_features_of_few_bins_take_the_default_masks(read):
    recipe = read(
        with_augmentation("frequency_masks: 1")
        + "features: {window_seconds: 0.002, hop_seconds: 0.001}\n"
    )
    assert recipe.features.num_bins < recipe.training.augmentation.frequency_mask_bins


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
    sections = (ConvolutionConfig, ModelConfig, AudioAugmentationConfig, AugmentationConfig)
    for cls in (*sections, TrainingConfig, Recipe):
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
        {"patience": 3, "keep_last": True},
        {"annealing": INFINITE},
        {"average_decay": -0.1},
        {"learning_rate": INFINITE},
        {"learning_rate": NAN},
        {"learning_rate": 0.0},
        {"clip_norm": 0.0},
        {"clip_norm": INFINITE},
        {"weight_decay": -1.0},
        {"warmup_steps": -5},
        {"checkpoint_seconds": -1.0},
        {"checkpoint_seconds": NAN},
        {"seed": -1},
        {"seed": 2**32},
        {"batch_frames": 0},
        {"max_frames": 0},
    ],
)
def test_training_refuses(wrong):
    with pytest.raises(UserError, match=f"^{next(iter(wrong))} "):
        TrainingConfig(**{"epochs": 1, "batch_frames": 4000, **wrong})


@pytest.mark.parametrize(
    "allowed",
    [
        {"seed": 0},
        {"seed": 2**32 - 1},
        {"warmup_steps": 0},
        {"weight_decay": 0.0},
        {"checkpoint_seconds": 0.0},
        {"checkpoint_seconds": INFINITE},
        {"annealing": 1.0},
        {"average_decay": 0.0},
        {"max_frames": 4000},
    ],
)
def test_training_takes_the_bounds(allowed):
    TrainingConfig(**{"epochs": 1, "batch_frames": 4000, **allowed})


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_epoch": 0},
        {"frequency_warp": (1.1, 0.9)},
        {"frequency_warp": (0.0, 1.0)},
        {"frequency_warp": (1.0, INFINITE)},
        {"frequency_masks": -2},
        {"frequency_mask_bins": -1},
        {"time_masks": -1},
        {"time_mask_share": 5.0},
        {"time_mask_share": -0.1},
    ],
)
def test_augmentation_refuses(wrong):
    (name,) = wrong
    with pytest.raises(UserError, match=f"^{name} "):
        AugmentationConfig(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed": (1.2, 0.8)},
        {"speed": (0.0, 0.0)},
        {"speed": (0.9, NAN)},
        {"volume_db": (8.0, -8.0)},
        {"volume_db": (-INFINITE, 0.0)},
        {"shift_seconds": -1.0},
        {"shift_seconds": INFINITE},
        {"noise_share": 4.0},
        {"noise_share": -0.1},
        {"noise_snr_db": (30.0, 10.0)},
        {"noise_directory": "", "noise_share": 0.4},
        {"noise_directory": "noise"},
        {"noise_directory": "noise", "noise_share": 0.0},
    ],
)
def test_audio_augmentation_refuses(wrong):
    with pytest.raises(UserError, match=f"^{next(iter(wrong))} "):
        AudioAugmentationConfig(**wrong)


def test_audio_augmentation_takes_the_bounds():
    AudioAugmentationConfig(
        speed=(1.0, 1.0), volume_db=(-8.0, -8.0), noise_share=1.0, noise_snr_db=(0.0, 0.0)
    )


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
