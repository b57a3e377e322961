# SPDX-License-Identifier: Apache-2.0
"""Long recordings are cut in the pauses that were put there, whatever noise lies over them."""

import numpy as np
import pytest

from ds2_tf.audio.segmentation import Pieces, cut_at_pauses, loudness
from ds2_tf.errors import UserError

RATE = 16000


def speech(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Syllables of a buzzing voice, four a second, that never stop for long."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    pitch = 120 * np.cumsum(1 + 0.1 * np.sin(2 * np.pi * 0.7 * time + seed)) / rate
    voice = sum(np.sin(2 * np.pi * k * pitch) / k for k in range(1, 25))
    corners = np.arange(0, seconds + 0.125, 0.125)
    syllables = np.interp(time, corners, generator.uniform(0.4, 1, len(corners)))
    return (0.1 * voice * syllables).astype(np.float32)


def recording(*parts: float, rate: int = RATE):
    """Speech and silence in turn, of the given seconds; and where the silences are."""
    pieces, pauses, at = [], [], 0.0
    for number, seconds in enumerate(parts):
        if number % 2:
            pauses.append((at, at + seconds))
            pieces.append(np.zeros(round(seconds * rate), np.float32))
        else:
            pieces.append(speech(seconds, number, rate))
        at += seconds
    return np.concatenate(pieces), pauses


def cuts_in_seconds(samples, rate=RATE, **options) -> list[float]:
    pieces = cut_at_pauses(samples, rate, **options)
    assert pieces[0].start == 0 and pieces[-1].stop == len(samples)
    for before, after in zip(pieces, pieces[1:]):
        assert before.stop == after.start
        assert before.stop % (rate // 100) == 0
    limit = options.get("limit_seconds", 20.0)
    assert max(piece.stop - piece.start for piece in pieces) <= limit * rate
    return [piece.start / rate for piece in pieces[1:]]


def hiss(samples, level):
    return level * np.random.default_rng(5).standard_normal(len(samples))


def hum(samples, level):
    return level * np.sin(2 * np.pi * 50 / RATE * np.arange(len(samples)))


BACKGROUNDS = {
    "silence": lambda samples: 0.0,
    "hiss": lambda samples: hiss(samples, 0.02),
    "hum as loud as the voice": lambda samples: hum(samples, 0.3),
    "offset": lambda samples: 0.2,
    "all of it": lambda samples: hiss(samples, 0.01) + hum(samples, 0.2) - 0.1,
}


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_cuts_fall_into_the_middle_of_the_pauses(background):
    # No piece may hold two stretches of speech: every pause is needed, and no other place.
    samples, pauses = recording(11.0, 0.4, 13.0, 0.5, 12.0, 0.6, 12.0)
    samples = (samples + BACKGROUNDS[background](samples)).astype(np.float32)
    cuts = cuts_in_seconds(samples)
    assert len(cuts) == len(pauses)
    for cut, (start, end) in zip(cuts, pauses):
        assert start + 0.1 < cut < end - 0.1


def test_a_pause_is_found_wherever_it_is_within_reach():
    # The only pause comes early in the piece, and what is after it just fits.
    samples, ((start, end),) = recording(3.0, 0.4, 18.0)
    (cut,) = cuts_in_seconds(samples)
    assert start < cut < end


def test_looks_ahead():
    # After the later of the first two pauses, there would be no other within reach.
    samples, pauses = recording(9.0, 0.4, 9.0, 0.4, 19.0, 0.4, 2.0)
    cuts = cuts_in_seconds(samples)
    assert all(any(start < cut < end for start, end in pauses) for cut in cuts)


def test_a_longer_pause_goes_before_a_shorter_one():
    samples, pauses = recording(8.0, 0.15, 6.0, 1.0, 8.0)
    (cut,) = cuts_in_seconds(samples)
    assert cut == pytest.approx(sum(pauses[1]) / 2, abs=0.1)


def test_dropouts_are_no_pauses():
    samples, ((start, end),) = recording(9.0, 0.4, 14.0)
    samples = (samples + hiss(samples, 0.005)).astype(np.float32)
    for second in (5, 12, 18):
        samples[second * RATE : second * RATE + RATE // 20] = 0
    (cut,) = cuts_in_seconds(samples)
    assert start < cut < end


def test_short_recordings_stay_whole():
    for seconds in (0, 0.004, 5, 20):
        samples = speech(seconds) if seconds > 1 else np.zeros(int(seconds * RATE), np.float32)
        assert cuts_in_seconds(samples) == []


@pytest.mark.parametrize("limit, seconds", [(1.0, 1.003), (1.0, 7.77), (2.5, 25.0), (20.0, 20.001)])
@pytest.mark.parametrize("kind", ["speech", "noise", "nothing"])
def test_the_limit_holds_where_there_is_no_pause(limit, seconds, kind):
    samples = {
        "speech": speech(seconds),
        "noise": np.random.default_rng(0).uniform(-1, 1, int(seconds * RATE)),
        "nothing": np.zeros(int(seconds * RATE)),
    }[kind]
    cuts = cuts_in_seconds(samples.astype(np.float32), limit_seconds=limit)
    assert len(cuts) >= np.ceil(seconds / limit) - 1


def test_other_sample_rates():
    for rate in (8000, 44100):
        samples, ((start, end),) = recording(9.0, 0.4, 16.0, rate=rate)
        (cut,) = cuts_in_seconds(samples, rate)
        assert start < cut < end


def test_loudness_stands_on_the_background():
    samples, ((start, end),) = recording(3.0, 2.0, 3.0)
    levels = loudness((samples + hum(samples, 0.3)).astype(np.float32), RATE)
    assert len(levels) == 800 and levels.min() >= 0
    assert levels[320:480].max() < np.percentile(np.delete(levels, np.s_[300:500]), 5)


@pytest.mark.parametrize("limit", [0.9, 0.0, -1.0, float("nan")])
def test_limits_that_leave_nothing(limit):
    with pytest.raises(UserError, match="1 s or more"):
        cut_at_pauses(np.zeros(10, np.float32), RATE, limit_seconds=limit)


def test_pieces_lead_back_to_the_recordings():
    long, pauses = recording(11.0, 0.4, 13.0, 0.5, 12.0)
    short = speech(2.0)
    pieces = Pieces([short, long, short[:0]], RATE)
    assert len(pieces) == 1 + 3 + 1
    first, second, third = pieces.grouped([len(piece) for piece in pieces])
    assert first == [(0.0, len(short))]
    assert third == [(0.0, 0)]
    assert sum(length for _, length in second) == len(long)
    assert [start for start, _ in second] == [0.0, *cuts_in_seconds(long)]
    np.testing.assert_array_equal(np.concatenate(pieces[1:4]), long)


def test_nothing_is_cut_without_a_limit():
    assert [len(piece) for piece in Pieces([speech(30.0)], RATE, limit_seconds=None)] == [480000]
