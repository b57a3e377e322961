# SPDX-License-Identifier: Apache-2.0
"""Reading WAV files inside the graph against soundfile, and resampling against SciPy."""

import io
import struct

import numpy as np
import pytest
import scipy.signal
import soundfile
import tensorflow as tf

from ds2_tf.export import wav


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def decode_in_graph(data):
    return wav.decode_wav(data)


@tf.function(input_signature=[tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int32)])
def resample_in_graph(samples, sample_rate):
    return wav.resample(samples, sample_rate, 16000)


def decode(data):
    samples, sample_rate = decode_in_graph(data)
    return samples.numpy(), int(sample_rate)


def assert_refused(data):
    samples, sample_rate = decode(data)
    assert sample_rate == 0 and len(samples) == 0


def by_soundfile(data):
    samples, sample_rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return samples.mean(axis=1), sample_rate


def chunk(name, content):
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def riff(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def format_chunk(encoding=1, channels=1, rate=16000, bits=16, extra=b""):
    block = channels * bits // 8
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", encoding, channels, rate, rate * block, block, bits) + extra
    )


SAMPLES = np.random.default_rng(0).integers(-(2**15), 2**15, 60).astype("<i2")
DATA = chunk(b"data", SAMPLES.tobytes())


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_equals_soundfile(channels, rate, wav_file, noise):
    data = wav_file(noise(300 * channels).reshape(300, channels), rate)
    samples, sample_rate = decode(data)
    expected, expected_rate = by_soundfile(data)
    assert sample_rate == expected_rate == rate
    np.testing.assert_allclose(samples, expected, atol=1e-6)


def test_full_scale():
    data = riff(format_chunk(), chunk(b"data", np.array([-32768, 32767, 0], "<i2").tobytes()))
    np.testing.assert_array_equal(decode(data)[0], [-1.0, 32767 / 32768, 0.0])


def test_extensible_header():
    buffer = io.BytesIO()
    soundfile.write(buffer, SAMPLES.reshape(-1, 2), 22050, format="WAVEX", subtype="PCM_16")
    data = buffer.getvalue()
    assert b"\xfe\xff" in data[:24]
    samples, sample_rate = decode(data)
    assert sample_rate == 22050
    np.testing.assert_allclose(samples, by_soundfile(data)[0], atol=1e-6)


@pytest.mark.parametrize("size", [0, 1, 7, 26])
def test_chunks_of_any_size_before_the_samples(size):
    """A chunk of an odd size is followed by a byte of padding, which its size leaves out."""
    data = riff(chunk(b"JUNK", b"\1" * size), format_chunk(), chunk(b"LIST", b"d" * size), DATA)
    samples, sample_rate = decode(data)
    assert sample_rate == 16000
    np.testing.assert_array_equal(samples, SAMPLES / np.float32(2**15))
    np.testing.assert_array_equal(samples, by_soundfile(data)[0])


def test_chunks_after_the_samples_are_not_heard():
    data = riff(format_chunk(), DATA, chunk(b"LIST", b"x" * 20))
    np.testing.assert_array_equal(decode(data)[0], SAMPLES / np.float32(2**15))


@pytest.mark.parametrize("kept", [0, 1, 2, 59, 119])
def test_truncated_samples_are_heard_as_far_as_they_go(kept):
    data = riff(format_chunk(), DATA)[: 44 + kept]
    samples, sample_rate = decode(data)
    assert sample_rate == 16000
    np.testing.assert_array_equal(samples, SAMPLES[: kept // 2] / np.float32(2**15))


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_stream_of_unknown_length_is_heard_to_its_end(size):
    data = riff(format_chunk(), b"data" + struct.pack("<I", size) + SAMPLES.tobytes())
    np.testing.assert_array_equal(decode(data)[0], SAMPLES / np.float32(2**15))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"RIFF\0\0\0\0WAVE",
        b"not a WAV file at all, but long enough for its header",
        b"\0" * 100,
        b"\xff" * 100,
        riff(format_chunk()),
        riff(DATA),
        riff(DATA, format_chunk()),
        riff(format_chunk(encoding=3, bits=32), DATA),
        riff(format_chunk(bits=8), DATA),
        riff(format_chunk(bits=24), DATA),
        riff(format_chunk(encoding=6), DATA),
        riff(format_chunk(channels=0), DATA),
        riff(format_chunk(channels=33), DATA),
        riff(format_chunk(rate=0), DATA),
        riff(format_chunk(rate=999), DATA),
        riff(format_chunk(rate=400000), DATA),
        riff(*[chunk(b"JUNK", b"")] * 100, format_chunk(), DATA),
        b"RIFX" + riff(format_chunk(), DATA)[4:],
        riff(format_chunk(), DATA)[:36],
        b"FORM" + riff(format_chunk(), DATA)[4:],
    ],
)
def test_what_is_not_16_bit_pcm_is_refused(data):
    assert_refused(data)


def test_other_formats_are_refused():
    for name, subtype in (("FLAC", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "ULAW"), ("AIFF", None)):
        buffer = io.BytesIO()
        soundfile.write(buffer, SAMPLES, 16000, format=name, subtype=subtype)
        assert_refused(buffer.getvalue())


def test_an_extensible_header_of_floats_is_refused():
    guid = struct.pack("<H", 3) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    extra = struct.pack("<HHI", 22, 16, 0) + guid
    assert_refused(riff(format_chunk(encoding=0xFFFE, extra=extra), DATA))


def test_no_mutation_of_a_header_raises():
    """1,000 files with bytes changed, cut or added: read or refused, and never loud."""
    generator = np.random.default_rng(3)
    base = riff(format_chunk(), chunk(b"LIST", b"ab"), DATA)
    accepted = 0
    for _ in range(1000):
        data = bytearray(base)
        for _ in range(generator.integers(1, 4)):
            data[generator.integers(54)] = generator.choice([0, 1, 2, 127, 128, 255])
        kind = generator.integers(4)
        if kind == 0:
            data = data[: generator.integers(len(data))]
        elif kind == 1:
            place = generator.integers(54)
            data = data[:place] + generator.bytes(generator.integers(1, 9)) + data[place:]
        samples, sample_rate = decode(bytes(data))
        assert sample_rate >= 0 and (sample_rate or not len(samples))
        assert len(samples) <= len(data) // 2 and np.abs(samples).max(initial=0.0) <= 1.0
        accepted += sample_rate > 0
    assert 100 < accepted < 900


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 32000, 44100, 48000])
def test_resampling_equals_scipy(rate, noise):
    """On a whole number of periods of both rates, where both mean the same."""
    periods = 16000 // np.gcd(rate, 16000)
    step = rate // np.gcd(rate, 16000)
    size = step * max(1, 6000 // step)
    samples = noise(size).astype(np.float32) / 2**15
    expected = scipy.signal.resample(samples.astype(np.float64), size // step * periods)
    resampled = resample_in_graph(samples, rate).numpy()
    assert len(resampled) == len(expected)
    np.testing.assert_allclose(resampled, expected, atol=1e-5)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_a_tone_keeps_its_pitch_and_its_time(rate):
    """1 kHz for a length that is no whole number of periods; away from the ends."""
    size = rate + 37
    tone = np.sin(2 * np.pi * 1000 * np.arange(size) / rate).astype(np.float32)
    resampled = resample_in_graph(tone, rate).numpy()
    assert len(resampled) == round(size * 16000 / rate)
    expected = np.sin(2 * np.pi * 1000 * np.arange(len(resampled)) / 16000)
    assert np.abs(resampled - expected)[800:-800].max() < 0.01


def test_resampling_to_the_same_rate_and_of_nothing(noise):
    samples = noise(100).astype(np.float32)
    np.testing.assert_array_equal(resample_in_graph(samples, 16000), samples)
    for rate in (0, 8000, 16000):
        assert len(resample_in_graph(np.zeros(0, np.float32), rate)) == 0


@pytest.mark.parametrize("rate", [1000, 44100, 384000])
def test_resampling_a_single_sample(rate):
    resampled = resample_in_graph(np.ones(1, np.float32), rate).numpy()
    assert len(resampled) == round(16000 / rate) and np.isfinite(resampled).all()


def test_greatest_common_divisor():
    for number in (1, 7, 8000, 11025, 44100, 48000, 12345):
        assert wav._greatest_common_divisor(tf.constant(number), 16000) == np.gcd(number, 16000)
