# SPDX-License-Identifier: Apache-2.0
"""Batches straight from recordings: the same features, every utterance, nothing impossible."""

import dataclasses
import shutil

import numpy as np
import pytest

from ds2_tf.audio.augmentation import noise_files
from ds2_tf.audio.reading import read_audio
from ds2_tf.audio.spectrogram import log_spectrogram
from ds2_tf.config import (
    AudioAugmentationConfig,
    AugmentationConfig,
    ConvolutionConfig,
    ModelConfig,
    Recipe,
    TrainingConfig,
)
from ds2_tf.corpora.manifest import Utterance, write_manifest
from ds2_tf.corpora.rejection import TooManyRejections
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet
from ds2_tf.training.audio_feeding import epoch_order
from ds2_tf.training.data import AudioData, RecordData, run_fingerprint

ALPHABET = Alphabet("abcd ")
RECIPE = Recipe(
    ModelConfig((ConvolutionConfig(2, (3, 3), (2, 2)),), 1, 4),
    TrainingConfig(epochs=3, batch_frames=300, max_frames=300, max_batch_size=4),
    alphabet="abcd ",
)


def with_audio_augmentation(**changes):
    augmentation = AugmentationConfig(audio=AudioAugmentationConfig(**changes))
    training = dataclasses.replace(RECIPE.training, augmentation=augmentation)
    return dataclasses.replace(RECIPE, training=training)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory, wav_file, noise, random_texts):
    """Twelve recordings to train on, of 0.5 to 1.6 s, and two to watch."""
    directory = tmp_path_factory.mktemp("recordings")
    utterances = []
    for number, text in enumerate(sorted(random_texts(14), key=len)):
        samples = noise(8000 + 1600 * number, seed=number)
        (directory / f"{number}.wav").write_bytes(wav_file(samples))
        split = "dev" if number in (3, 8) else "train"
        utterances.append(Utterance(f"u{number}", f"{number}.wav", text[:12], split=split))
    write_manifest(directory / "manifest.jsonl", utterances)
    return directory / "manifest.jsonl"


@pytest.fixture(scope="module")
def data(manifest):
    return AudioData(RECIPE, manifest)


def features_of(corpus, epoch):
    """The spectrograms of an epoch, in order."""
    return [spectrogram for spectrogram, _ in contents(corpus.epoch(epoch))]


def contents(batches):
    """Spectrogram and text of every utterance of a dataset."""
    return [
        (spectrogram[:frames], ALPHABET.decode(row[row >= 0]))
        for inputs, labels in batches.as_numpy_iterator()
        for spectrogram, frames, row in zip(inputs["spectrogram"], inputs["num_frames"], labels)
    ]


def test_features_are_those_of_the_recordings(data, manifest):
    found = {len(spectrogram): spectrogram for spectrogram, _ in contents(data.epoch(1))}
    assert sorted(found) == [50 + 10 * number for number in range(14) if number not in (3, 8)]
    for frames, spectrogram in found.items():
        samples = read_audio(manifest.parent / f"{(frames - 50) // 10}.wav")
        expected, _ = log_spectrogram(samples[None], [len(samples)])
        np.testing.assert_allclose(spectrogram, expected[0], atol=1e-5)


def test_changes_begin_with_the_epoch_that_the_recipe_names(manifest, data):
    recipe = with_audio_augmentation(volume_db=(3.0, 6.0))
    changes = dataclasses.replace(
        recipe.training.augmentation, first_epoch=2, frequency_warp=(0.8, 0.9)
    )
    recipe = dataclasses.replace(
        recipe, training=dataclasses.replace(recipe.training, augmentation=changes)
    )
    changed = AudioData(recipe, manifest)
    for plain, same in zip(features_of(data, 0), features_of(changed, 0), strict=True):
        np.testing.assert_array_equal(same, plain)
    for plain, other in zip(features_of(data, 1), features_of(changed, 1), strict=True):
        assert np.abs(other - plain).mean() > 0.3


def test_the_graph_reads_the_same_features(manifest, data):
    pytest.importorskip("tensorflow_io")
    for recipe, expected in (
        (RECIPE, data),
        (with_audio_augmentation(speed=(0.9, 1.1)), None),
    ):
        expected = expected or AudioData(recipe, manifest)
        in_graph = AudioData(recipe, manifest, decoder="tensorflow-io")
        pairs = list(zip(contents(in_graph.epoch(1)), contents(expected.epoch(1)), strict=True))
        assert len(pairs) == 12
        for (spectrogram, text), (same, same_text) in pairs:
            np.testing.assert_array_equal(spectrogram, same)
            assert text == same_text


def test_statistics_are_those_of_the_training_split(data):
    spectrograms = np.concatenate([spectrogram for spectrogram, _ in contents(data.epoch(0))])
    np.testing.assert_allclose(data.statistics.mean, spectrograms.mean(0), rtol=1e-4)
    np.testing.assert_allclose(data.statistics.standard_deviation, spectrograms.std(0), rtol=1e-4)
    assert data.statistics.num_utterances == 12


def test_sortagrad_and_order(data, manifest):
    one_by_one = dataclasses.replace(RECIPE.training, max_batch_size=1)
    ordered = AudioData(dataclasses.replace(RECIPE, training=one_by_one), manifest)
    lengths = [len(spectrogram) for spectrogram, _ in contents(ordered.epoch(0))]
    assert lengths == sorted(lengths)
    texts = [[text for _, text in contents(data.epoch(epoch))] for epoch in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2] and sorted(texts[0]) == sorted(texts[2])


def test_dev_may_be_trained_on_once_all_choices_are_made(data, manifest):
    whole = AudioData(RECIPE, manifest, train_split=["train", "dev"])
    assert whole.trains_on_dev and not data.trains_on_dev
    trained, heard = contents(whole.epoch(1)), contents(whole.dev())
    assert len(trained) == 14 and whole.statistics.num_utterances == 14
    texts = {text for _, text in trained}
    assert {text for _, text in heard} < texts and {
        text for _, text in contents(data.epoch(1))
    } < texts
    assert whole.fingerprint != data.fingerprint
    with pytest.raises(UserError, match="no split 'other'; found .'dev', 'train'."):
        AudioData(RECIPE, manifest, train_split=["train", "other"])


def test_dev_split(data):
    assert sorted(len(spectrogram) for spectrogram, _ in contents(data.dev())) == [80, 130]


def test_epoch_order():
    durations = [3.0, 1.0, 2.0, 1.0]
    assert epoch_order(durations, True, 1, 0).tolist() == [1, 3, 2, 0]
    orders = {
        tuple(epoch_order(range(50), sortagrad, seed, epoch))
        for sortagrad, seed, epoch in [(False, 1, 0), (True, 1, 1), (True, 2, 1), (True, 1, 2)]
    }
    assert len(orders) == 4 and all(sorted(order) == list(range(50)) for order in orders)


def test_recordings_are_changed_anew_in_every_epoch_but_not_in_dev(manifest, data):
    changed = AudioData(with_audio_augmentation(volume_db=(-6.0, 6.0), noise_share=0.5), manifest)
    np.testing.assert_array_equal(changed.statistics.mean, data.statistics.mean)
    epochs = [
        {len(spectrogram): spectrogram for spectrogram, _ in contents(changed.epoch(epoch))}
        for epoch in (1, 1, 2)
    ]
    assert epochs[0].keys() == epochs[2].keys()
    for frames, spectrogram in epochs[0].items():
        np.testing.assert_array_equal(spectrogram, epochs[1][frames])
        assert np.abs(spectrogram - epochs[2][frames]).max() > 0.01
    for (one, text), (other, other_text) in zip(contents(changed.dev()), contents(data.dev())):
        np.testing.assert_array_equal(one, other)
        assert text == other_text


def test_what_became_too_short_for_its_text_is_left_out(manifest):
    """Four times as fast, 0.5 s is 12 frames, and 6 of the network."""
    fast = AudioData(with_audio_augmentation(speed=(4.0, 4.0)), manifest)
    found = contents(fast.epoch(1))
    assert 0 < len(found) <= 12
    assert len(found) + len(fast.left_out.too_short) == len(fast._train)
    for spectrogram, text in found:
        repeats = sum(a == b for a, b in zip(text, text[1:]))
        assert -(-len(spectrogram) // 2) >= len(text) + repeats


def test_an_unknown_decoder_is_named(manifest):
    with pytest.raises(UserError, match="soundfile, tensorflow-io, got 'ffmpeg'"):
        AudioData(RECIPE, manifest, decoder="ffmpeg").epoch(0)


def test_too_long_utterances_are_left_out_of_training_alone(manifest):
    training = dataclasses.replace(RECIPE.training, max_frames=100, batch_frames=100)
    short = AudioData(dataclasses.replace(RECIPE, training=training), manifest)
    assert max(len(spectrogram) for spectrogram, _ in contents(short.epoch(1))) == 100
    assert sorted(len(spectrogram) for spectrogram, _ in contents(short.dev())) == [80, 130]


def test_fingerprint_changes_with_a_recording(data, manifest, tmp_path):
    for path in manifest.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    copy = tmp_path / manifest.name
    assert AudioData(RECIPE, copy).fingerprint == data.fingerprint
    content = bytearray((tmp_path / "5.wav").read_bytes())
    content[1000] ^= 1
    (tmp_path / "5.wav").write_bytes(content)
    assert AudioData(RECIPE, copy).fingerprint != data.fingerprint


def test_bad_recordings(manifest, tmp_path):
    lines = manifest.read_text().splitlines()
    for path in manifest.parent.glob("*.wav"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "6.wav").write_bytes(b"")
    copy = tmp_path / "manifest.jsonl"
    copy.write_text("\n".join(lines))
    with pytest.raises(TooManyRejections, match="u6: empty-audio"):
        AudioData(RECIPE, copy)
    assert AudioData(RECIPE, copy, max_bad_share=0.1).statistics.num_utterances == 11


def test_a_missing_split(manifest):
    with pytest.raises(UserError, match=r"no split 'test'; found \['dev', 'train'\]"):
        AudioData(RECIPE, manifest, dev_split="test")


def test_a_split_of_which_nothing_is_usable(manifest, tmp_path):
    for path in manifest.parent.glob("*.wav"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    copy = tmp_path / "manifest.jsonl"
    copy.write_text(
        manifest.read_text() + '{"id": "x", "audio": "x.wav", "transcript": "a", "split": "test"}\n'
    )
    with pytest.raises(UserError, match="No utterance of the split 'test' in .* is usable"):
        AudioData(RECIPE, copy, dev_split="test", max_bad_share=0.5)


def test_records_cannot_be_changed_as_recordings():
    with pytest.raises(UserError, match="records hold features only"):
        RecordData(with_audio_augmentation(noise_share=0.4), ["train"], ["dev"])


class TestNoiseDirectory:
    @pytest.fixture
    def noises(self, tmp_path, wav_file, noise):
        """A directory of two recordings of noise."""
        directory = tmp_path / "noises"
        (directory / "street").mkdir(parents=True)
        (directory / "a.wav").write_bytes(wav_file(noise(8000, seed=1)))
        (directory / "street" / "b.wav").write_bytes(wav_file(noise(8000, seed=2)))
        return directory

    @staticmethod
    def with_noise_of(directory):
        return with_audio_augmentation(noise_share=0.4, noise_directory=str(directory))

    def test_missing(self, tmp_path):
        with pytest.raises(UserError, match="noise_directory .*nowhere does not exist"):
            noise_files(tmp_path / "nowhere")

    def test_a_file(self, noises):
        with pytest.raises(UserError, match=r"noise_directory .*a\.wav is not a directory"):
            noise_files(noises / "a.wav")

    def test_without_a_recording(self, tmp_path):
        (tmp_path / "notes.txt").write_text("hum")
        with pytest.raises(UserError, match="noise_directory .* holds no recording"):
            noise_files(tmp_path)

    def test_a_run_is_told_by_the_noise_and_not_by_its_place(self, noises, data, tmp_path):
        def fingerprint(directory):
            return run_fingerprint(self.with_noise_of(directory), data)

        assert [path.name for path in noise_files(noises)] == ["a.wav", "b.wav"]
        original = fingerprint(noises)
        moved = shutil.copytree(noises, tmp_path / "elsewhere" / "copy")
        assert fingerprint(moved) == original
        assert run_fingerprint(with_audio_augmentation(noise_share=0.4), data) != original
        (moved / "a.wav").unlink()
        assert fingerprint(moved) != original
