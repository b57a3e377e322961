# SPDX-License-Identifier: Apache-2.0
"""Language model, decoder, evaluation and blessing, with models that say what records hold.

A record's spectrogram is what such a model gives as log probabilities, but for a label that it is
hard of hearing for.
"""

# No postponed annotations: TFX reads those of component functions as they are.

import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.channel import Channel

from ds2_tf.corpora.manifest import Utterance
from ds2_tf.corpora.records import make_example
from ds2_tf.decoding.package import load_package
from ds2_tf.errors import UserError
from ds2_tf.export.signatures import greedy_text
from ds2_tf.lm.tools import kenlm_program
from ds2_tf.text.alphabet import Alphabet
from pipeline.components.artifacts import DecoderPackageArtifact, decoder_path, report_path
from pipeline.components.baseline import LatestOtherBlessedModelStrategy
from pipeline.components.decoder_tuner import DecoderTuner
from pipeline.components.evaluation_report import EvaluationReport
from pipeline.components.evaluator import Evaluator
from pipeline.components.language_model import LanguageModel
from pipeline.configs import EvaluationConfig
from pipeline.evaluation.eval_config import make_eval_config
from pipeline.evaluation.outcome import read_evaluation
from pipeline.ingestion.config import IngestionConfig
from pipeline.local_runner import LocalRunner

pytestmark = pytest.mark.slow

_ALPHABET = Alphabet.english()
_INGESTION = IngestionConfig("".join(_ALPHABET.characters), time_stride=1)
_SENTENCES = ("the dog saw two cats", "two cats", "a dog", "it's the dog", "cats saw a dog") * 3


def _spoken(text: str) -> np.ndarray:
    """Log probabilities, [frames, labels], of a text; every "o" sounds more like an "i"."""
    rows = []
    for label in _ALPHABET.encode(text):
        frame = np.full(_ALPHABET.size, 0.001)
        frame[label] = 0.9
        if _ALPHABET.labels[label] == "o":
            frame[label], frame[_ALPHABET.encode("i")[0]] = 0.4, 0.5
        blank = np.full(_ALPHABET.size, 0.001)
        blank[0] = 0.9
        rows += [frame, blank]
    rows = np.array(rows)
    return np.log(rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)


def _write_records(path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for i, sentence in enumerate(_SENTENCES):
            utterance = Utterance(
                f"u{i}", "none", sentence, speaker=f"s{i % 2}", extra={"accent": "scottish"}
            )
            example = make_example(utterance, _spoken(sentence), 0.5 * len(sentence.split()))
            writer.write(example.SerializeToString())


@component
def WriteRecords(examples: OutputArtifact[standard_artifacts.Examples]):
    _write_records(pathlib.Path(examples.uri) / "Split-dev" / "data_tfrecord-00000-of-00001.gz")
    examples.split_names = artifact_utils.encode_split_names(["dev"])


@component
def MakeModel(deaf_for: Parameter[str], model: OutputArtifact[standard_artifacts.Model]):
    labels, size = tf.constant(_ALPHABET.labels), _ALPHABET.size
    bias = np.zeros(size, np.float32)
    bias[_ALPHABET.encode(deaf_for)] = -8

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def eval_examples(examples):
        feature = {"spectrogram": tf.io.FixedLenFeature([], tf.string)}
        raw = tf.io.parse_example(examples, feature)["spectrogram"]
        num_frames = tf.strings.length(raw) // (2 * size)
        longest = tf.reduce_max(num_frames)
        bits = tf.io.decode_raw(raw, tf.uint16, fixed_length=2 * size * longest)
        half = tf.reshape(tf.bitcast(bits, tf.float16), [-1, longest, size])
        log_probs = tf.nn.log_softmax(tf.cast(half, tf.float32) + bias)
        text, _ = greedy_text(log_probs, num_frames, labels)
        return {"hypothesis": text[:, None], "log_probs": log_probs, "num_frames": num_frames}

    path = os.path.join(model.uri, "Format-Serving")
    tf.saved_model.save(tf.Module(), path, signatures={"eval_examples": eval_examples})


@pytest.fixture
def run(tmp_path):
    """A function that makes and evaluates a model, and gives outputs by component."""
    if not _has_kenlm():
        pytest.skip("KenLM's programs are missing")

    def run_pipeline(deaf_for: str, config: EvaluationConfig, with_lm: bool) -> dict:
        write = WriteRecords()
        examples = write.outputs["examples"]
        make = MakeModel(deaf_for=deaf_for)
        model = make.outputs["model"]
        nodes, decoder = [write, make], None
        if with_lm:
            common = {"examples": examples, "ingestion": _INGESTION.to_json(), "split": "dev"}
            lm = LanguageModel(
                config=json.dumps({"order": 2}), text_contents="", source_hash="", **common
            )
            tuner = DecoderTuner(
                model=model,
                language_model=lm.outputs["language_model"],
                config=json.dumps({"alphas": [0.0, 1.0], "betas": [0.0, 1.0], "refinements": 0}),
                source_hash="",
                **common,
            )
            nodes += [lm, tuner]
            decoder = tuner.outputs["decoder"]
        candidates = {"baseline": Channel(type=standard_artifacts.Model)}
        if decoder:
            candidates["baseline_decoder"] = Channel(type=DecoderPackageArtifact)
        baseline = Resolver(
            strategy_class=LatestOtherBlessedModelStrategy,
            candidate=model,
            blessing=Channel(type=standard_artifacts.ModelBlessing),
            **candidates,
        ).with_id("Baseline")
        evaluator = Evaluator(
            examples=examples,
            model=model,
            eval_config=make_eval_config(config, with_lm),
            slices=config.slices,
            split="dev",
            source_hash="",
            decoder=decoder,
            baseline_model=baseline.outputs["baseline"],
            baseline_decoder=baseline.outputs["baseline_decoder"] if decoder else None,
        )
        report = EvaluationReport(
            evaluation=evaluator.outputs["evaluation"],
            title="digits <1>",
            slices=json.dumps(config.slices),
            source_hash="",
        )
        runner = LocalRunner(on_component=lambda _: None)
        runner.run(
            Pipeline(
                pipeline_name="test",
                pipeline_root=str(tmp_path / "root"),
                components=[*nodes, baseline, evaluator, report],
                enable_cache=True,
                metadata_connection_config=metadata.sqlite_metadata_connection_config(
                    str(tmp_path / "metadata.sqlite")
                ),
                beam_pipeline_args=["--runner=FnApiRunner"],
            )
        )
        failed = [item.error for item in runner.runs if item.error]
        if failed:
            raise failed[0]
        return {item.name: {k: v[0] for k, v in item.outputs.items()} for item in runner.runs}

    return run_pipeline


def _has_kenlm() -> bool:
    try:
        kenlm_program("lmplz")
    except UserError:
        return False
    return True


def _blessed(outputs: dict) -> bool:
    return bool(outputs["Evaluator"]["blessing"].get_int_custom_property("blessed"))


def _outcome(outputs: dict):
    return read_evaluation(outputs["Evaluator"]["evaluation"].uri)


# "o" is in 6 of 16 words of every five sentences ("dog" four times, "two" twice).
_GREEDY = 6 / 16


def test_language_model_decoder_evaluation_and_report(run):
    config = EvaluationConfig(
        max_wer=0.4, max_wer_with_lm=0.1, slices=("speaker", "duration", "accent", "weather")
    )
    outputs = run("q", config, with_lm=True)
    assert _blessed(outputs)
    outcome = _outcome(outputs)
    assert outcome.word_error_rate == pytest.approx(_GREEDY)
    low, high = outcome.word_error_rate_interval
    assert 0.2 < low < _GREEDY < high < 0.55
    assert outcome.word_error_rate_with_lm == outcome.character_error_rate_with_lm == 0
    assert outcome.word_error_rate_with_lm_interval == (0, 0)

    package = load_package(decoder_path(outputs["DecoderTuner"]["decoder"]))
    # Only "dog" can be meant, whatever the weights: the smallest are as good as any.
    assert (package.options.alpha, package.options.beta) == (0, 0)
    assert package.search().decode(_spoken("the dog"))[0].text == "the dog"
    tuning = json.loads(
        (pathlib.Path(outputs["DecoderTuner"]["decoder"].uri) / "tuning.json").read_text()
    )
    assert tuning["check"]["wer"] == 0 < tuning["check_greedy"]["wer"]
    assert json.loads(
        (pathlib.Path(outputs["LanguageModel"]["language_model"].uri) / "report.json").read_text()
    )["sentences"] == len(_SENTENCES)

    page = pathlib.Path(report_path(outputs["EvaluationReport"]["report"])).read_text("utf-8")
    assert "digits &lt;1&gt;" in page and "<1>" not in page
    for text in ("By speaker", "By duration", "By accent", "scottish", "2 to 4 s", "37.5%"):
        assert text in page
    assert "No utterance has the field &#x27;weather&#x27; to slice by." in page


def test_a_model_must_be_as_good_as_the_last_blessed_one(run):
    config = EvaluationConfig(max_wer=0.9, max_wer_with_lm_increase=0.0)
    first = run("q", config, with_lm=True)
    assert _blessed(first)

    # Deaf for "w": it hears "sa" and "ti", but the language model knows better.
    second = run("w", config, with_lm=True)
    outcome = _outcome(second)
    assert outcome.baseline_word_error_rate == pytest.approx(_GREEDY)
    assert outcome.baseline_word_error_rate_with_lm == outcome.word_error_rate_with_lm == 0
    # "saw" twice in every 16 words; "two" was wrong before.
    assert outcome.failures == [
        f"the word error rate differs by {2 / 16:+.2%} from the last blessed model's, "
        "max_wer_increase is 0.00%"
    ]
    assert not _blessed(second)

    # The one that was not blessed does not count: this one, deaf for what nobody says, is as good
    # as the first.
    third = run("z", config, with_lm=True)
    assert _outcome(third).baseline_word_error_rate == pytest.approx(_GREEDY)
    assert _blessed(third)
    assert third["Evaluator"]["blessing"].get_int_custom_property("baseline_model_id") == (
        first["MakeModel"]["model"].id
    )
