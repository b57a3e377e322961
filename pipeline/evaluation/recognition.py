# SPDX-License-Identifier: Apache-2.0
"""Records through exported models and decoders, as Beam wants it.

Nothing here imports TFX: Beam's workers import this module.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import apache_beam as beam
import numpy as np

from ds2_tf.metrics.slices import SPEAKER, slice_values
from ds2_tf.metrics.utterance_result import UtteranceResult

# How log probabilities become text.
GREEDY, WITH_LM = "greedy", "with_lm"
# Names of the models in evaluations.
CANDIDATE, BASELINE = "candidate", "baseline"
# The key of `UtteranceResult` among TFMA's extracts.
RESULT_KEY = "result"
# Bytes of the records in a batch: about two minutes of audio.
_BATCH_BYTES = 4_000_000
# Bundles may come in any size; batches of one utterance would waste the processor.
_MOST_IN_BATCH = 64


class Recognized(NamedTuple):
    """What a model makes of one record.

    Attributes:
        log_probs: float32 [frames, labels], natural log.
        text: by greedy decoding.
    """

    log_probs: np.ndarray
    text: str


class RecordRecognizer:
    """An exported model that reads records.

    Args:
        saved_model: its directory.
    """

    def __init__(self, saved_model: str):
        import tensorflow as tf

        # Kept, as a signature does not keep its model.
        self._model = tf.saved_model.load(saved_model)
        self._call = self._model.signatures["eval_examples"]

    def recognize(self, records: Sequence[bytes]) -> list[Recognized]:
        """Runs the model over serialized records, all in one batch."""
        import tensorflow as tf

        outputs = {k: v.numpy() for k, v in self._call(examples=tf.constant(records)).items()}
        return [
            Recognized(log_probs[:frames], text[0].decode("utf-8"))
            for log_probs, frames, text in zip(
                outputs["log_probs"], outputs["num_frames"], outputs["hypothesis"]
            )
        ]


def batches(records: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Groups records within a budget of bytes; a longer one stands alone."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        if batch and (size + len(record) > _BATCH_BYTES or len(batch) == _MOST_IN_BATCH):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield batch


def record_fields(record: bytes) -> dict[str, object]:
    """The text and the numbers of a record, by name, without the spectrogram."""
    import tensorflow as tf

    fields = {}
    for name, feature in tf.train.Example.FromString(record).features.feature.items():
        if name == "spectrogram":
            continue
        (value,) = getattr(feature, feature.WhichOneof("kind")).value
        fields[name] = value.decode("utf-8") if isinstance(value, bytes) else value
    return fields


class RecognizeRecords(beam.PTransform):
    """Serialized records -> TFMA's extracts, one an utterance.

    Labels are transcripts; predictions are texts by way of decoding, `GREEDY` and, where there is a
    decoder, `WITH_LM`, and with several models one level deeper, by model; features are slices. A
    model without a decoder beside one that has one counts as it decodes: greedily.

    Args:
        models: directories of SavedModels, by name.
        decoders: decoder packages, by name of their model.
        slices: fields to slice by.
    """

    def __init__(
        self, models: Mapping[str, str], decoders: Mapping[str, str], slices: Sequence[str]
    ):
        super().__init__()
        self._recognize = _Recognize(dict(models), dict(decoders), tuple(slices))

    def expand(self, records):
        size = {"min_batch_size": _BATCH_BYTES, "max_batch_size": _BATCH_BYTES}
        return (
            records
            | "Batch" >> beam.BatchElements(**size, element_size_fn=len)
            | "Recognize" >> beam.ParDo(self._recognize)
        )


class _Recognize(beam.DoFn):
    def __init__(self, models: dict[str, str], decoders: dict[str, str], slices: tuple[str, ...]):
        self._paths = models
        self._decoder_paths = decoders
        self._slices = slices

    def setup(self):
        from ds2_tf.decoding.package import load_package

        self._models = {name: RecordRecognizer(path) for name, path in self._paths.items()}
        self._searches = {
            name: load_package(path).search() for name, path in self._decoder_paths.items()
        }

    def process(self, records: list[bytes]) -> Iterator[dict]:
        for batch in batches(records):
            texts = {name: self._texts(name, batch) for name in self._models}
            for index, record in enumerate(batch):
                yield self._extract(
                    record_fields(record),
                    {
                        name: {decoding: rows[index] for decoding, rows in by_decoding.items()}
                        for name, by_decoding in texts.items()
                    },
                )

    def _texts(self, name: str, batch: list[bytes]) -> dict[str, list[str]]:
        """Texts of a batch by way of decoding."""
        from ds2_tf.decoding.parallel import decode_many

        recognized = self._models[name].recognize(batch)
        texts = {GREEDY: [item.text for item in recognized]}
        if name in self._searches:
            log_probs = (item.log_probs for item in recognized)
            decoded = decode_many(self._searches[name], log_probs, word_times=False)
            texts[WITH_LM] = [best.text for (best, *_) in decoded]
        elif self._searches:
            texts[WITH_LM] = texts[GREEDY]
        return texts

    def _extract(self, fields: dict[str, object], texts: dict[str, dict[str, str]]) -> dict:
        result = UtteranceResult(
            id=fields["id"],
            reference=" ".join(fields["transcript"].split()),
            hypotheses={
                f"{name} {decoding}": text
                for name, by_decoding in texts.items()
                for decoding, text in by_decoding.items()
            },
            seconds=fields["duration"],
            slices=slice_values(fields, fields["duration"], self._slices),
        )
        predictions = {
            name: {decoding: _array(text) for decoding, text in by_decoding.items()}
            for name, by_decoding in texts.items()
        }
        # With a single model, TFMA knows no names.
        if len(predictions) == 1:
            (predictions,) = predictions.values()
        return {
            "labels": _array(fields["transcript"]),
            "predictions": predictions,
            "example_weights": np.array([1.0]),
            "features": {name: _array(value) for name, value in result.slices.items()},
            RESULT_KEY: result,
        }


def _array(text: str) -> np.ndarray:
    return np.array([text.encode("utf-8")])


def spread_records(record_files: Sequence[str], most: int) -> list[bytes]:
    """Records from all over some files, in their order.

    Args:
        record_files: gzipped TFRecords.
        most: how many at most; they are evenly spread.
    """
    import tensorflow as tf

    dataset = tf.data.TFRecordDataset(list(record_files), compression_type="GZIP")
    total = sum(1 for _ in dataset)
    every = max(1, math.ceil(total / most))
    return list(dataset.shard(every, 0).as_numpy_iterator())


def missing_slices(results: Iterable[UtteranceResult], names: Sequence[str]) -> list[str]:
    """The fields to slice by, other than the speaker, that no utterance has."""
    seen = collections.Counter(name for result in results for name in result.slices)
    return [name for name in names if not seen[name] and name != SPEAKER]
