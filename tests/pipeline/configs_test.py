# SPDX-License-Identifier: Apache-2.0
"""Reading a pipeline's configuration."""

import pytest

from ds2_tf.config import from_dict, to_dict
from ds2_tf.errors import UserError
from ds2_tf.recipes import load_recipe
from pipeline.configs import load_pipeline_config, make_directories
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


def test_a_tilde_is_the_users_home(load, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    config = load(_MINIMAL.replace("root: run", "root: ~/x"))
    assert config.root == "/home/somebody/x"
    assert config.serving_directory == "/home/somebody/x/serving"


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
        ("shards: 0\n", "shards must be at least 1; got 0"),
        ("max_bad_share: 5\n", "max_bad_share must be at least 0 and at most 1; got 5"),
        ("max_bad_share: -0.1\n", "max_bad_share must be .*; got -0.1"),
        ("splits: {by: speakr}\n", "splits.by .* column, manifest, speaker; got 'speakr'"),
        ("splits: {by: manifest}\n", "splits.by is 'manifest', which needs manifests"),
        ("splits: {by: speaker, shares: {train: 0.9}}\n", "splits.shares .* add up to 1"),
        ("splits: {by: speaker, shares: {}}\n", "splits.shares .* add up to 1"),
        ("splits: {by: speaker, shares: {train: .nan, dev: 1}}\n", "splits.shares .* add up to 1"),
        ("kubeflow: {image: ''}\n", r"kubeflow\.image must be the name of an image"),
        ("kubeflow: {image: x, retries: -1}\n", r"kubeflow\.retries must be at least 0; got -1"),
        ("splits: {by: speaker, shares: {train: 0.5, a/b: 0.5}}\n", "splits.shares.*'a/b'"),
        (
            "language_model: {order: 99}\n",
            "language_model.order must be .* at most 6; got 99",
        ),
        ("language_model: {prune: [1, 0]}\n", r"language_model.prune .*; got \[1, 0\]"),
        ("language_model: {prune: [-1]}\n", "language_model.prune"),
        (
            "language_model: {order: 2, prune: [0, 0, 1]}\n",
            r"language_model.prune .* order \(2\)",
        ),
        ("language_model: {vocabulary_limit: 0}\n", "language_model.vocabulary_limit"),
        ("decoder: {alphas: []}\n", "decoder.alphas"),
        ("decoder: {alphas: [-1]}\n", "decoder.alphas"),
        ("decoder: {betas: []}\n", "decoder.betas"),
        ("decoder: {refinements: -1}\n", "decoder.refinements"),
        ("decoder: {beam_sizes: [10, 0]}\n", "decoder.beam_sizes"),
        ("decoder: {max_utterances: 2}\n", "decoder.max_utterances must be at least 3; got 2"),
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


@pytest.mark.parametrize(
    "evaluation, problem",
    [
        ("max_wer: 15", "evaluation.max_wer .* from 0 to 2, .*; got 15: write 0.15 for 15 %"),
        ("max_wer: -1", "evaluation.max_wer .* from 0 to 2, .*; got -1"),
        ("max_wer: .nan", "evaluation.max_wer .* from 0 to 2, .*; got nan"),
        (
            "max_wer: 1, max_wer_increase: 3",
            "max_wer_increase .* from -1 to 2, .*: write 0.03",
        ),
        ("max_wer: 1, max_wer_with_lm: 5", "evaluation.max_wer_with_lm .* write 0.05 for 5 %"),
        ("max_wer: 1, max_wer_with_lm_increase: -2", "max_wer_with_lm_increase .* got -2"),
    ],
)
def test_limits_are_shares(load, evaluation, problem):
    with pytest.raises(UserError, match=problem):
        load(_MINIMAL.replace("max_wer: 0.2", evaluation))


def test_limits_reach_from_no_error_to_two_for_each_word_or_to_none(load):
    for limit, increase in (("0", "-1"), ("2", "2"), (".inf", ".inf")):
        limits = f"max_wer: {limit}, max_wer_increase: {increase}"
        evaluation = load(_MINIMAL.replace("max_wer: 0.2", limits)).evaluation
        assert evaluation.max_wer == float(limit.lstrip("."))
        assert evaluation.max_wer_increase == float(increase.lstrip("."))


@pytest.mark.parametrize("name", ["''", "a/b", "..", "-a", "'a b'", "a" * 64])
def test_a_name_is_fit_for_paths(load, name):
    with pytest.raises(UserError, match=": name must be 1 to 63 letters"):
        load(_MINIMAL.replace("name: digits", f"name: {name}"))


def test_manifests_go_with_no_other_rule(load):
    text = _MINIMAL.replace("manifest: ../corpus/*.jsonl", "manifests: {train: a, dev: b}")
    assert load(text + "splits: {by: manifest}\n").split_by == load(text).split_by == "manifest"
    with pytest.raises(UserError, match="splits.by is 'speaker', and of manifests each is a split"):
        load(text + "splits: {by: speaker}\n")
    with pytest.raises(UserError, match="split of manifests must .* directory; got 'a/b'"):
        load(text.replace("dev: b", "a/b: b"))


def test_evaluating_what_was_trained_on_is_doubted(load):
    assert load(_MINIMAL).doubts == []
    (doubt,) = load(_MINIMAL + "splits: {evaluation: train}\n").doubts
    assert "splits.evaluation and splits.train are both 'train'" in doubt


def test_directories_are_made_before_anything_else(load, tmp_path):
    config = load(_MINIMAL + "metadata: deep/metadata.sqlite\n")
    make_directories(config)
    make_directories(config)
    assert (tmp_path / "here" / "run").is_dir() and (tmp_path / "here" / "deep").is_dir()


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ("root: run", "root: pipeline.yaml", "root: .*pipeline.yaml cannot be made: .* is a file"),
        (
            "root: run",
            "root: run\nmetadata: pipeline.yaml/m",
            "metadata: .* cannot be made",
        ),
        ("root: run", "root: run [1]", r"root: .*run \[1\] has one of the characters"),
        (
            "root: run",
            "root: run\nserving: pipeline.yaml",
            "serving: .*yaml cannot be made: .* file",
        ),
    ],
)
def test_a_file_where_a_directory_is_to_be(load, old, new, problem):
    with pytest.raises(UserError, match=problem):
        make_directories(load(_MINIMAL.replace(old, new)))


def test_a_configuration_is_utf8(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes(_MINIMAL.replace("digits", "größe").encode("latin-1"))
    with pytest.raises(UserError, match="latin.yaml is not UTF-8 .at byte 9.: save it"):
        load_pipeline_config(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere.yaml cannot be read"):
        load_pipeline_config(tmp_path / "nowhere.yaml")


def test_another_encoding_than_utf_8(tmp_path):
    path = tmp_path / "pipeline.yaml"
    path.write_bytes("name: Größe".encode("latin-1"))
    with pytest.raises(UserError, match="pipeline.yaml is not UTF-8 .*: save it as UTF-8"):
        load_pipeline_config(path)
