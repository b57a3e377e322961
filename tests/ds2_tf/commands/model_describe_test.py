# SPDX-License-Identifier: Apache-2.0
"""`ds2 model describe` as it is typed."""

import json

import pytest

from ds2_tf.cli import main
from ds2_tf.models.cost import network_cost
from ds2_tf.models.model_directory import load_description
from ds2_tf.models.presets import PRESETS


def test_describes_a_preset_as_json(capsys):
    words = ["--batch-size", "4", "--seconds", "2.5", "--json"]
    assert main(["model", "describe", "mandarin-deployment", *words]) == 0
    described = json.loads(capsys.readouterr().out)
    model = PRESETS["mandarin-deployment"].model
    cost = network_cost(model, 6001, batch_size=4, seconds=2.5)
    assert described == json.loads(json.dumps(cost.to_dict()))
    assert described["layers"][-1]["output_shape"] == [4, 125, 6001]


def test_describes_a_recipe(capsys, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "model:\n"
        "  convolutions: [{filters: 2, kernel: [11, 5], stride: [4, 2]}]\n"
        "  recurrent_layers: 1\n"
        "  recurrent_units: 8\n"
        "training: {epochs: 1, batch_frames: 4000}\n"
        "alphabet: abc\n"
    )
    assert main(["model", "describe", str(recipe), "--seconds", "1"]) == 0
    text = capsys.readouterr().out
    assert "convolution_1  1 x 50 x 41 x 2" in text and "1 x 50 x 4 " in text


def test_help_lists_the_presets(capsys):
    with pytest.raises(SystemExit):
        main(["model", "describe", "--help"])
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in PRESETS)
    assert "a preset, a recipe or a model directory" in text and "(default: 10)" in text


def test_an_unknown_name_is_answered_with_those_there_are(capsys):
    assert main(["model", "describe", "large"]) == 1
    said = capsys.readouterr().err
    assert "There is no preset and no model directory 'large'; choose one of english-18m" in said


@pytest.mark.parametrize("words", [["--seconds", "0"], ["--batch-size", "-1"]])
def test_numbers_must_be_positive(words, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["model", "describe", "tiny", *words])
    assert exit.value.code == 2 and "invalid positive" in capsys.readouterr().err


def test_describes_a_model_directory(tiny_model_directory, capsys):
    assert main(["model", "describe", str(tiny_model_directory), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    description = load_description(tiny_model_directory)
    cost = network_cost(description.model, 29, description.features, batch_size=1, seconds=10.0)
    assert described == json.loads(json.dumps(cost.to_dict()))


def test_a_directory_without_a_model(tmp_path, capsys):
    assert main(["model", "describe", str(tmp_path)]) == 1
    assert "is not a model directory" in capsys.readouterr().err
