# SPDX-License-Identifier: Apache-2.0
"""Cutting recordings at pauses, and putting the phrases together anew."""

import dataclasses

import numpy as np
import pytest

from ds2_tf.audio.reading import read_audio
from ds2_tf.corpora.manifest import Utterance, read_manifest, write_manifest
from ds2_tf.corpora.splicing import Phrase, cut_between_words, put_together_anew, splice_corpus
from ds2_tf.errors import UserError

RATE = 16000


def _said(*parts):
    """Sound for words and quiet for pauses: pairs of a loudness and seconds."""
    generator = np.random.default_rng(0)
    return np.concatenate(
        [loudness * generator.standard_normal(int(seconds * RATE)) for loudness, seconds in parts]
    ).astype(np.float32)


class TestCutBetweenWords:
    def test_in_the_middle_of_a_pause_and_nowhere_else(self):
        samples = _said((0.001, 0.2), (0.1, 0.5), (0.001, 0.2), (0.1, 0.8), (0.001, 0.2))
        # No pause between the second and the third word.
        words = [("one", 0.3, 0.6), ("two", 1.0, 1.2), ("three", 1.4, 1.6)]
        first, second = cut_between_words("x.wav", samples, words)
        assert (first.words, second.words) == (("one",), ("two", "three"))
        assert first.start == 0 and second.stop == len(samples)
        assert 0.7 * RATE <= first.stop == second.start <= 0.9 * RATE

    def test_words_said_in_one_breath_stay_together(self):
        samples = _said((0.001, 0.2), (0.1, 1.0), (0.001, 0.2))
        (phrase,) = cut_between_words("x.wav", samples, [("a", 0.3, 0.5), ("b", 0.8, 1.0)])
        assert (phrase.start, phrase.stop, phrase.words) == (0, len(samples), ("a", "b"))

    def test_times_beyond_the_end(self):
        samples = _said((0.1, 0.5))
        (phrase,) = cut_between_words("x.wav", samples, [("a", 0.1, 0.9), ("b", 1.0, 1.1)])
        assert phrase.words == ("a", "b")


@pytest.fixture
def phrases():
    """Two speakers, with words and spelled letters."""

    def phrase(number, *words):
        return Phrase("a.wav", 1000 * number, 1000 * number + 500, words)

    return [
        [phrase(1, "one", "two"), phrase(2, "x"), phrase(3, "three")],
        [phrase(4, "four")],
        [phrase(5, "y", "z")],
    ]


class TestPutTogetherAnew:
    def test_speakers_and_kinds_keep_apart(self, phrases):
        speakers = ["ann", "ann", "ben"]
        of_ann = {phrase for utterance in phrases[:2] for phrase in utterance}
        made = list(put_together_anew(phrases, speakers, 200, np.random.default_rng(0)))
        assert len(made) == 600
        for index, new in enumerate(made):
            if index % 3 == 2:
                assert set(new) == {phrases[2][0]} and 1 <= len(new) <= 2
                continue
            assert set(new) <= of_ann
            spelled = [phrase.is_spelled for phrase in new]
            assert sum(spelled) == (index % 3 == 0)
            assert len(new) == 3 if index % 3 == 0 else len(new) in (1, 2)

    def test_pieces_change_as_often_as_stated(self, phrases):
        made = put_together_anew(phrases[:2], ["ann", "ann"], 4000, np.random.default_rng(1))
        firsts = [new for new in made if len(new) == 3]
        kept = np.mean([phrases[0][1] in new for new in firsts])
        assert kept == 1.0  # there is but one spelled phrase
        in_order = np.mean([new[1].is_spelled for new in firsts])
        # Seven tenths are not shuffled, and a third of those that are.
        assert in_order == pytest.approx(0.7 + 0.3 / 3, abs=0.03)
        second = np.mean([new[0] == phrases[0][0] for new in firsts if new[1].is_spelled])
        # A quarter is kept, and the three phrases of words come up alike in the rest; a ninth of
        # those in order were shuffled.
        assert second == pytest.approx(0.25 + 0.75 / 3, abs=0.06)

    def test_no_utterance_grows_beyond_measure(self):
        long = [[Phrase("a.wav", 0, 7 * RATE, ("one",)), Phrase("a.wav", 0, 7 * RATE, ("two",))]]
        made = list(put_together_anew(long, ["ann"], 50, np.random.default_rng(0)))
        assert {len(new) for new in made} == {1}


@pytest.fixture
def manifest(tmp_path, write_wav):
    """Two speakers, three utterances each to train on, and one to test on."""
    utterances = []
    for number in range(7):
        samples = _said((0.001, 0.1), (0.1, 0.4), (0.001, 0.2), (0.1, 0.4), (0.001, 0.1))
        write_wav(tmp_path / "wav" / f"{number}.wav", (samples * 32767).astype(np.int16))
        utterances.append(
            Utterance(
                id=f"u{number}",
                audio=f"wav/{number}.wav",
                transcript=f"left{number} right{number}",
                duration=1.2,
                speaker="ab"[number % 2],
                split="test" if number == 6 else "train",
                extra={"words": [[f"left{number}", 0.2, 0.4], [f"right{number}", 0.8, 1.0]]},
            )
        )
    write_manifest(tmp_path / "manifest.jsonl", utterances)
    return tmp_path / "manifest.jsonl"


def _splice(manifest, directory, **options):
    made = splice_corpus(manifest, directory, progress=False, jobs=1, **options)
    return made, list(read_manifest(directory / "manifest.jsonl"))


class TestSpliceCorpus:
    def test_old_and_new_utterances(self, manifest, tmp_path):
        made, utterances = _splice(manifest, tmp_path / "spliced", copies=2)
        assert (made["utterances"], made["phrases"], made["spliced"]) == (6, 12, 12)
        old, new = utterances[:7], utterances[7:]
        before = list(read_manifest(manifest))
        assert [u.id for u in old] == [u.id for u in before]
        assert [u.extra for u in old] == [u.extra for u in before]
        for utterance in utterances:
            samples = read_audio(tmp_path / "spliced" / utterance.audio)
            assert len(samples) / RATE == pytest.approx(utterance.duration)
        assert made["hours"] == pytest.approx(sum(u.duration for u in new) / 3600)
        assert {u.split for u in new} == {"train"}
        said = {u.speaker: set() for u in before}
        for utterance in before:
            said[utterance.speaker] |= set(utterance.transcript.split())
        for utterance in new:
            assert set(utterance.transcript.split()) <= said[utterance.speaker]
            assert len(utterance.transcript.split()) == 2
            assert not utterance.extra
        assert {u.transcript for u in new} - {u.transcript for u in before}

    def test_sound_goes_with_its_words(self, manifest, tmp_path):
        _, utterances = _splice(manifest, tmp_path / "spliced")
        phrases = {}
        for old in utterances[:6]:
            samples = read_audio(tmp_path / "spliced" / old.audio)
            cuts = cut_between_words("", samples, [tuple(word) for word in old.extra["words"]])
            phrases |= {phrase.words[0]: samples[phrase.start : phrase.stop] for phrase in cuts}
        for new in utterances[7:]:
            samples = read_audio(tmp_path / "spliced" / new.audio)
            parts = [phrases[word] for word in new.transcript.split()]
            assert len(samples) == sum(map(len, parts))
            # But for the fades of 10 ms at either end of a phrase, and 16 bits.
            start = 0
            for part in parts:
                inside = slice(160, len(part) - 160)
                got = samples[start : start + len(part)]
                np.testing.assert_allclose(got[inside], part[inside], atol=2**-14)
                assert got[0] == got[-1] == 0
                start += len(part)

    def test_the_same_seed_makes_the_same(self, manifest, tmp_path):
        _, first = _splice(manifest, tmp_path / "first", seed=5)
        _, again = _splice(manifest, tmp_path / "again", seed=5)
        _, other = _splice(manifest, tmp_path / "other", seed=6)
        assert first == again
        for utterance in first[7:]:
            sounds = [(tmp_path / d / utterance.audio).read_bytes() for d in ("first", "again")]
            assert sounds[0] == sounds[1]
        assert [u.transcript for u in other] != [u.transcript for u in first]

    def test_who_is_not_known_stays_alone(self, manifest, tmp_path):
        alone = [dataclasses.replace(u, speaker=None) for u in read_manifest(manifest)]
        write_manifest(manifest, alone)
        _, utterances = _splice(manifest, tmp_path / "spliced")
        for new in utterances[7:]:
            number = new.id[1]
            assert set(new.transcript.split()) <= {f"left{number}", f"right{number}"}

    def test_utterances_without_times_are_kept_and_not_spliced(self, manifest, tmp_path):
        first, *others = read_manifest(manifest)
        write_manifest(manifest, [dataclasses.replace(first, extra={}), *others])
        made, utterances = _splice(manifest, tmp_path / "spliced", copies=1)
        assert made["spliced"] == 5 and utterances[0].id == "u0"
        assert not any("left0" in u.transcript for u in utterances[1:])

    @pytest.mark.parametrize(
        "change, message",
        [
            ({"split": "dev"}, "has no split 'train'; found"),
            ({"extra": {}}, "ds2 corpus align"),
            ({"extra": {"words": "left right"}}, "must be a list of"),
            ({"extra": {"words": [["left", "early", 1]]}}, "must be a list of"),
            ({"transcript": "something else"}, "align the corpus again"),
        ],
    )
    def test_what_cannot_be_spliced(self, manifest, tmp_path, change, message):
        changed = [dataclasses.replace(u, **change) for u in read_manifest(manifest)]
        write_manifest(manifest, changed)
        with pytest.raises(UserError, match=message):
            _splice(manifest, tmp_path / "spliced")
        assert not (tmp_path / "spliced" / "manifest.jsonl").exists()

    def test_no_copies(self, manifest, tmp_path):
        with pytest.raises(UserError, match="at least 1, got 0"):
            _splice(manifest, tmp_path / "spliced", copies=0)
