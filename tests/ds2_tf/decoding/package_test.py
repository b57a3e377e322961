# SPDX-License-Identifier: Apache-2.0
"""The decoder package: what is written is read, and what is wrong with a file is said."""

import json
import zipfile

import numpy as np
import pytest

from ds2_tf.decoding.beam_search import BeamOptions
from ds2_tf.decoding.ngram_model import NgramModel
from ds2_tf.decoding.package import load_package, write_package
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet

ALPHABET = Alphabet(" abc")


@pytest.fixture
def package(tmp_path, word_model):
    path = tmp_path / "test.decoder"
    options = BeamOptions(alpha=0.75, beta=-0.25, open_vocabulary=True)
    return write_package(path, ALPHABET, options, NgramModel(word_model))


def test_decodes_as_its_parts(package, word_model, random_log_probs):
    assert (package.options.alpha, package.options.beta) == (0.75, -0.25)
    assert package.alphabet == ALPHABET
    assert package.model.score(["ab", "a"]) == NgramModel(word_model).score(["ab", "a"])
    log_probs = random_log_probs(30, 5)
    again = load_package(package.path)
    assert again.search().decode(log_probs, 5) == package.search().decode(log_probs, 5)


def test_same_content_is_the_same_file(package, tmp_path):
    write_package(tmp_path / "again", package.alphabet, package.options, package.model)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "test.decoder").read_bytes()


def test_vocabulary_of_ones_own(tmp_path, word_model):
    model = NgramModel(word_model)
    package = write_package(tmp_path / "p", ALPHABET, BeamOptions(), model, ["ab", "cab"])
    assert load_package(package.path).vocabulary == ("ab", "cab")


def test_writing_over_the_open_package(package):
    write_package(package.path, package.alphabet, BeamOptions(alpha=2.0), package.model)
    assert load_package(package.path).options.alpha == 2.0


def test_model_of_another_alphabet(package):
    with pytest.raises(UserError, match="is for an alphabet of 5 labels.*'d' in the latter"):
        package.search(alphabet=Alphabet(" abcd"))


def test_truncated_anywhere(package, tmp_path):
    whole = (tmp_path / "test.decoder").read_bytes()
    for size in [0, 1, 10, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1]:
        (tmp_path / "cut").write_bytes(whole[:size])
        with pytest.raises(UserError, match="is cut short or damaged"):
            load_package(tmp_path / "cut")


def test_a_changed_byte_anywhere(package, tmp_path):
    whole = (tmp_path / "test.decoder").read_bytes()
    for at in np.random.default_rng(0).integers(40, len(whole) - 400, 20):
        changed = bytearray(whole)
        changed[at] ^= 1
        (tmp_path / "changed").write_bytes(changed)
        with pytest.raises(UserError):
            load_package(tmp_path / "changed")


def test_checksum(package, tmp_path):
    """A language model that was exchanged in a well-formed archive."""
    with zipfile.ZipFile(package.path) as archive:
        description = archive.read("decoder.json")
        model = bytearray(archive.read("lm.binary"))
    model[-1] ^= 1
    with zipfile.ZipFile(tmp_path / "forged", "w") as archive:
        archive.writestr("decoder.json", description)
        archive.writestr("lm.binary", bytes(model))
    with pytest.raises(UserError, match="checksum of lm.binary is"):
        load_package(tmp_path / "forged")


@pytest.mark.parametrize(
    "members, message",
    [
        ({}, "it has no decoder.json"),
        ({"decoder.json": json.dumps({"format_version": 99})}, "has format version 99"),
        ({"decoder.json": "[]"}, "has format version None"),
        ({"decoder.json": "{"}, "is damaged"),
        ({"decoder.json": '{"format_version": 1}'}, "is damaged"),
        ({"decoder.json": '{"format_version": 1, "sha256": {"lm.binary": ""}}'}, "lacks lm.binary"),
    ],
)
def test_other_archives(tmp_path, members, message):
    with zipfile.ZipFile(tmp_path / "other", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(UserError, match=message):
        load_package(tmp_path / "other")


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        load_package(tmp_path / "none")
