# SPDX-License-Identifier: Apache-2.0
"""Feeding: every utterance once an epoch, in an order that only seed and epoch decide."""

import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.config import TrainingConfig
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet
from ds2_tf.training.feeding import (
    bucket_boundaries,
    epoch_batches,
    evaluation_batches,
    label_encoder,
)

ALPHABET = Alphabet("abcd ")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, write_tones, random_texts):
    """Sixty utterances of 10 to 118 frames in three files."""
    return write_tones(tmp_path_factory.mktemp("tones"), random_texts(60), num_files=3)


def config(**changes):
    values = {"epochs": 4, "batch_frames": 300, "max_batch_size": 8, "max_frames": 300, "seed": 5}
    return TrainingConfig(**{**values, **changes})


def batches_of(corpus, epoch, settings=None, **kwargs):
    batches = epoch_batches(
        corpus.files,
        ALPHABET,
        settings or config(),
        epoch,
        num_utterances=len(corpus.texts),
        **kwargs,
    )
    return list(batches.as_numpy_iterator())


def texts_of(batches):
    return [ALPHABET.decode(row[row >= 0]) for _, labels in batches for row in labels]


def assert_equal_batches(some, others):
    assert len(some) == len(others)
    for (inputs, labels), (other_inputs, other_labels) in zip(some, others):
        np.testing.assert_array_equal(inputs["spectrogram"], other_inputs["spectrogram"])
        np.testing.assert_array_equal(inputs["num_frames"], other_inputs["num_frames"])
        np.testing.assert_array_equal(labels, other_labels)


@pytest.mark.parametrize("sortagrad", [False, True])
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_every_utterance_once_an_epoch(corpus, epoch, sortagrad):
    texts = texts_of(batches_of(corpus, epoch, config(sortagrad=sortagrad)))
    assert sorted(texts) == sorted(corpus.texts)


def test_sortagrad_goes_from_short_to_long(corpus):
    """One by one; within each round of the three files the order is free."""
    batches = batches_of(corpus, 0, config(max_batch_size=1))
    lengths = [int(inputs["num_frames"][0]) for inputs, _ in batches]
    assert len(lengths) == 60
    assert all(a <= b for a, b in zip(lengths, lengths[3:]))
    shuffled = batches_of(corpus, 1, config(max_batch_size=1))
    lengths = [int(inputs["num_frames"][0]) for inputs, _ in shuffled]
    assert any(a > b for a, b in zip(lengths, lengths[3:]))


def test_batches_hold_utterances_of_like_length(corpus):
    boundaries = bucket_boundaries(300)
    for inputs, _ in batches_of(corpus, 1):
        buckets = np.searchsorted(boundaries, inputs["num_frames"])
        assert len(set(buckets.tolist())) == 1


def test_other_epochs_have_other_orders(corpus):
    orders = [texts_of(batches_of(corpus, epoch)) for epoch in range(3)]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    companions = [
        {frozenset(texts_of([batch])) for batch in batches_of(corpus, epoch)} for epoch in (1, 2)
    ]
    assert companions[0] != companions[1]


def test_without_sortagrad_the_first_epoch_is_shuffled_too(corpus):
    settings = config(sortagrad=False)
    assert texts_of(batches_of(corpus, 0, settings)) != texts_of(batches_of(corpus, 0))


def test_same_seed_same_batches(corpus):
    assert_equal_batches(batches_of(corpus, 1), batches_of(corpus, 1))
    other = texts_of(batches_of(corpus, 1, config(seed=6)))
    assert other != texts_of(batches_of(corpus, 1))


def test_the_order_of_the_file_names_does_not_matter(corpus):
    batches = epoch_batches(corpus.files[::-1], ALPHABET, config(), 1, num_utterances=60)
    assert_equal_batches(list(batches.as_numpy_iterator()), batches_of(corpus, 1))


@pytest.mark.parametrize("epoch", [0, 2])
def test_skipping_gives_the_tail_of_the_epoch(corpus, epoch):
    def augment(spectrogram, seed):
        return spectrogram + tf.random.stateless_normal(tf.shape(spectrogram), seed)

    whole = batches_of(corpus, epoch, augment=augment)
    rest = epoch_batches(
        corpus.files, ALPHABET, config(), epoch, num_utterances=60, augment=augment
    ).skip(3)
    assert_equal_batches(list(rest.as_numpy_iterator()), whole[3:])


def test_augmentation_is_different_for_every_utterance_and_epoch(corpus):
    def augment(spectrogram, seed):
        return tf.zeros_like(spectrogram) + tf.random.stateless_uniform([], seed)

    values = [
        inputs["spectrogram"][:, 0, 0]
        for e in (0, 1)
        for inputs, _ in batches_of(corpus, e, augment=augment)
    ]
    assert len(set(np.concatenate(values).tolist())) == 120


@pytest.mark.parametrize("batch_frames, max_batch_size", [(120, 64), (300, 8), (5000, 16)])
def test_batches_keep_to_their_budget(corpus, batch_frames, max_batch_size):
    settings = config(
        batch_frames=batch_frames, max_batch_size=max_batch_size, max_frames=batch_frames
    )
    batches = batches_of(corpus, 1, settings)
    for inputs, labels in batches:
        size, frames, bins = inputs["spectrogram"].shape
        assert size == len(labels) <= max_batch_size
        assert size * frames <= batch_frames and bins == 161
        assert frames == inputs["num_frames"].max()
    if batch_frames == 5000:
        assert max(len(labels) for _, labels in batches) == 16


def test_little_of_a_batch_is_padding(corpus):
    for inputs, _ in batches_of(corpus, 1, config(batch_frames=2000)):
        lengths = inputs["num_frames"]
        if lengths.min() > 64:
            assert lengths.max() / lengths.min() <= 1.15 + 1 / 64


def test_too_long_utterances_are_left_out(corpus):
    texts = texts_of(batches_of(corpus, 1, config(max_frames=70)))
    assert sorted(texts) == sorted(text for text in corpus.texts if 6 * len(text) + 4 <= 70)


def test_padding_is_zero_and_labels_are_padded_with_minus_one(corpus):
    for inputs, labels in batches_of(corpus, 1):
        for spectrogram, frames, row in zip(inputs["spectrogram"], inputs["num_frames"], labels):
            assert not spectrogram[frames:].any()
            length = (frames - 4) // 6
            assert (row[:length] > 0).all() and (row[length:] == -1).all()
        assert labels.dtype == inputs["num_frames"].dtype == np.int32


def test_evaluation_takes_everything_even_what_exceeds_a_batch(corpus):
    batches = list(evaluation_batches(corpus.files, ALPHABET, batch_frames=60).as_numpy_iterator())
    assert sorted(texts_of(batches)) == sorted(corpus.texts)
    for inputs, labels in batches:
        assert inputs["num_frames"].max() * len(labels) <= 60 or len(labels) == 1


def test_compressed_records(tmp_path, write_tones, random_texts):
    corpus = write_tones(tmp_path, random_texts(5), compressed=True)
    assert sorted(texts_of(batches_of(corpus, 0))) == sorted(corpus.texts)


def test_no_files():
    with pytest.raises(UserError, match="No record files"):
        epoch_batches([], ALPHABET, config(), 0)


@pytest.mark.parametrize("max_frames", [1, 63, 64, 65, 1000, 3000])
def test_bucket_boundaries(max_frames):
    boundaries = bucket_boundaries(max_frames)
    assert boundaries[-1] == max_frames and boundaries == sorted(set(boundaries))
    assert all(b <= a * 1.15 + 1 for a, b in zip(boundaries, boundaries[1:]))


def test_labels_are_those_of_the_alphabet():
    alphabet = Alphabet(" aäß漢😀'")
    encode = label_encoder(alphabet)
    for text in ("", "a", "ä ß漢'", "😀😀a"):
        labels = encode(tf.constant(text)).numpy()
        assert labels.dtype == np.int32 and labels.tolist() == alphabet.encode(text)
    assert encode(tf.constant("ab\U0001ffff")).numpy().tolist() == [2, -1, -1]


def test_bigrams_are_labels_too():
    alphabet = Alphabet([*" aäb", "äb"])
    texts = tf.data.Dataset.from_tensor_slices(["äb bäb", "aß"])
    known, unknown = texts.map(label_encoder(alphabet))
    assert known.numpy().tolist() == alphabet.encode("äb bäb") == [5, 1, 4, 5]
    assert unknown.numpy().tolist() == [-1]
