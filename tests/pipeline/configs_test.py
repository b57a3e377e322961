# SPDX-License-Identifier: Apache-2.0
"""Reading a pipeline's configuration."""

import pytest

from ds2_tf.config import from_dict, to_dict
from ds2_tf.errors import UserError
from ds2_tf.recipes import load_recipe
from pipeline.configs import load_pipeline_config
from pipeline.decoder_config import DecoderConfig
from pipeline.ingestion.sources import ManifestSource

_MINIMAL = """
name: digits
root: run
recipe: recipe.yaml
manifest: ../corpus/*.jsonl
evaluation: {max_wer: 0.2}
"""


@pytest.fixture
def load(tmp_path):
    """A function that writes a configuration and loads it."""

    def write_and_load(text: str):
        (tmp_path / "here").mkdir(exist_ok=True)
        path = tmp_path / "here" / "pipeline.yaml"
        path.write_text(text)
        return load_pipeline_config(path)

    return write_and_load


def test_relative_paths_count_from_the_file(load, tmp_path):
    config = load(_MINIMAL)
    assert config.root == str(tmp_path / "here" / "run")
    assert config.sources == [ManifestSource(str(tmp_path / "corpus" / "*.jsonl"))]
    assert config.serving_directory == str(tmp_path / "here" / "run" / "serving")
    assert config.metadata_path == str(tmp_path / "here" / "run" / "metadata.sqlite")


def test_a_manifest_for_each_split(load, tmp_path, recipe_path):
    text = _MINIMAL.replace(
        "manifest: ../corpus/*.jsonl", "manifests: {train: a.jsonl, dev: /b/c.jsonl}"
    )
    config = load(text + "serving: /models/digits\nbeam_args: [--direct_num_workers=2]\n")
    assert config.sources == [
        ManifestSource(str(tmp_path / "here" / "a.jsonl"), "train"),
        ManifestSource("/b/c.jsonl", "dev"),
    ]
    assert config.serving_directory == "/models/digits"
    assert config.beam_args == ("--direct_num_workers=2",)
    ingestion = config.ingestion(load_recipe(recipe_path))
    assert (ingestion.split_by, ingestion.time_stride) == ("manifest", 2)


def test_a_language_model_and_slices(load, tmp_path):
    text = _MINIMAL.replace(
        "{max_wer: 0.2}", "{max_wer: 0.2, max_wer_with_lm: 0.1, slices: [duration, accent]}"
    )
    config = load(
        text
        + "steps: {language_model: true}\n"
        + "language_model: {texts: [t.txt, /u.txt.gz], prune: [0, 1]}\n"
        + "decoder: {search: {beam_size: 50, open_vocabulary: true}, alphas: [0, 1]}\n"
    )
    assert config.language_model.texts == (str(tmp_path / "here" / "t.txt"), "/u.txt.gz")
    assert config.language_model.prune == (0, 1)
    assert config.decoder.search.beam_size == 50 and config.decoder.search.open_vocabulary
    assert config.decoder.alphas == (0.0, 1.0)
    assert config.evaluation.slices == ("duration", "accent")
    assert from_dict(DecoderConfig, to_dict(config.decoder), source="") == config.decoder


def test_a_limit_with_a_language_model_needs_one(load):
    with pytest.raises(UserError, match="max_wer_with_lm needs a language model"):
        load(_MINIMAL.replace("{max_wer: 0.2}", "{max_wer: 0.2, max_wer_with_lm: 0.1}"))


@pytest.mark.parametrize(
    "addition, problem",
    [
        ("manifests: {train: a}\n", "either manifest"),
        ("colour: red\n", "unknown key colour"),
        ("shards: many\n", "shards"),
        ("splits: {by: speaker, evaluation: test}\n", "evaluation is 'test'.*train, dev"),
        (
            "splits: {shares: {train: much}}\n",
            r"splits\.shares\.train must be a number; got 'much'",
        ),
        ("manifests: {on: a, dev: b}\n", "the name true in manifests must be text.*YAML reads"),
        ("beam_args: --x\n", "beam_args must be a list of texts; got '--x'"),
        ("serving: 5\n", "serving must be text; got 5: put it in quotes"),
        ("steps: {pusher: true}\n", r"unknown key steps\.pusher; the keys of steps are validate"),
        ("decoder: {search: {beam_size: 0}}\n", r"decoder\.search: beam_size .* got 0"),
        ("decoder: {beam_sizes: [1, 2.5]}\n", r"decoder\.beam_sizes\[1\] must be a whole number"),
        ("raw: {encoding: ULAW}\n", r"raw\.sample_rate is missing"),
        (
            "kubeflow: {image: x, resources: {Trainer: {cpu: 0}}}\n",
            r"kubeflow\.resources\.Trainer: A step needs cpu",
        ),
    ],
)
def test_what_cannot_be_meant_is_an_error(load, addition, problem):
    with pytest.raises(UserError, match=f"pipeline.yaml: .*{problem}"):
        load(_MINIMAL + addition)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere.yaml cannot be read"):
        load_pipeline_config(tmp_path / "nowhere.yaml")


def test_another_encoding_than_utf_8(tmp_path):
    path = tmp_path / "pipeline.yaml"
    path.write_bytes("name: Größe".encode("latin-1"))
    with pytest.raises(UserError, match="pipeline.yaml is not UTF-8 .*: save it as UTF-8"):
        load_pipeline_config(path)
