# SPDX-License-Identifier: Apache-2.0
"""Reading recordings, against files written byte by byte or by other libraries."""

import struct
import wave

import numpy as np
import pytest
import scipy.io.wavfile
import soundfile

from ds2_tf.audio.reading import AudioError, RawFormat, audio_duration, read_audio
from ds2_tf.errors import UserError

RATE = 16000


def pcm(seconds=0.5, seed=0):
    """int16 [N]: noise with a tone in it."""
    count = int(seconds * RATE)
    noise = np.random.default_rng(seed).normal(scale=1000, size=count)
    return (noise + 8000 * np.sin(2 * np.pi * 440 * np.arange(count) / RATE)).astype("<i2")


def write_wav(path, data, channels=1, width=2, rate=RATE):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return path


def write_sphere(path, samples, byte_format="01", sample_count=None):
    """A NIST SPHERE file of 16-bit samples; "01" is little endian, "10" big endian."""
    fields = (
        f"sample_count -i {len(samples) if sample_count is None else sample_count}\n"
        "sample_n_bytes -i 2\nchannel_count -i 1\n"
        f"sample_byte_format -s2 {byte_format}\nsample_rate -i {RATE}\n"
        "sample_coding -s3 pcm\nend_head\n"
    )
    header = ("NIST_1A\n   1024\n" + fields).encode().ljust(1024)
    path.write_bytes(header + samples.astype("<i2" if byte_format == "01" else ">i2").tobytes())
    return path


def reason_of(source, **arguments):
    with pytest.raises(AudioError) as caught:
        read_audio(source, **arguments)
    return caught.value.reason


class TestFormats:
    def test_wav_of_16_bits_is_exact(self, tmp_path):
        samples = pcm()
        path = write_wav(tmp_path / "a.wav", samples.tobytes())
        result = read_audio(path)
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, samples.astype(np.float32) / 32768)

    def test_wav_of_24_bits(self, tmp_path):
        values = [-(2**23), -1, 0, 1, 2**22, 2**23 - 1]
        data = b"".join(value.to_bytes(3, "little", signed=True) for value in values)
        result = read_audio(write_wav(tmp_path / "a.wav", data, width=3))
        np.testing.assert_allclose(result, np.array(values) / 2**23, atol=1e-7)

    @pytest.mark.parametrize("dtype, scale", [("uint8", 128), ("int32", 2**31), ("float32", 1)])
    def test_wav_written_by_scipy(self, tmp_path, dtype, scale):
        samples = pcm().astype(np.float64) / 32768
        offset = 128 if dtype == "uint8" else 0
        scipy.io.wavfile.write(tmp_path / "a.wav", RATE, (samples * scale + offset).astype(dtype))
        tolerance = 2 / 128 if dtype == "uint8" else 1e-6
        np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), samples, atol=tolerance)

    def test_values_beyond_full_scale_are_clipped(self, tmp_path):
        scipy.io.wavfile.write(tmp_path / "a.wav", RATE, np.float32([0.5, 2.0, -3.0]))
        np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), np.float32([0.5, 1, -1]))

    def test_channels_are_averaged(self, tmp_path):
        left, right = pcm(seed=1), pcm(seed=2)
        data = np.stack([left, right], axis=1).tobytes()
        result = read_audio(write_wav(tmp_path / "a.wav", data, channels=2))
        np.testing.assert_allclose(result, (left / 32768.0 + right / 32768.0) / 2, atol=1e-6)

    @pytest.mark.parametrize("byte_format", ["01", "10"])
    def test_sphere(self, tmp_path, byte_format):
        samples = pcm()
        path = write_sphere(tmp_path / "a.sph", samples, byte_format)
        np.testing.assert_array_equal(read_audio(path), samples.astype(np.float32) / 32768)

    def test_flac_is_exact(self, tmp_path):
        samples = pcm()
        soundfile.write(tmp_path / "a.flac", samples, RATE)
        np.testing.assert_array_equal(
            read_audio(tmp_path / "a.flac"), samples.astype(np.float32) / 32768
        )

    @pytest.mark.parametrize("suffix", ["ogg", "mp3"])
    def test_lossy_formats_sound_alike(self, tmp_path, suffix):
        samples = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
        soundfile.write(tmp_path / f"a.{suffix}", samples, RATE)
        result = read_audio(tmp_path / f"a.{suffix}")
        assert abs(len(result) - RATE) < 0.1 * RATE
        spectrum = np.abs(np.fft.rfft(result))
        assert abs(np.argmax(spectrum) * RATE / len(result) - 440) < 2
        assert np.abs(result[2000:-2000]).max() == pytest.approx(0.5, abs=0.05)

    @pytest.mark.parametrize("endian, code", [("LITTLE", "<"), ("BIG", ">")])
    def test_headerless(self, tmp_path, endian, code):
        values = [0, 1, -2, 300, -32768, 32767]
        data = struct.pack(f"{code}{len(values)}h", *values)
        (tmp_path / "a.raw").write_bytes(data)
        raw = RawFormat(sample_rate=RATE, endian=endian)
        expected = np.array(values, np.float32) / 32768
        np.testing.assert_array_equal(read_audio(tmp_path / "a.raw", raw=raw), expected)
        np.testing.assert_array_equal(read_audio(data, raw=raw), expected)

    def test_bytes_are_read_like_a_file(self, tmp_path):
        path = write_wav(tmp_path / "a.wav", pcm().tobytes())
        np.testing.assert_array_equal(read_audio(path.read_bytes()), read_audio(path))

    def test_raw_format_is_ignored_for_files_with_a_header(self, tmp_path):
        path = write_wav(tmp_path / "a.wav", pcm().tobytes())
        raw = RawFormat(sample_rate=8000, encoding="ULAW")
        np.testing.assert_array_equal(read_audio(path, raw=raw), read_audio(path))

    @pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
    def test_resampling_keeps_a_tone(self, tmp_path, rate):
        tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
        path = write_wav(tmp_path / "a.wav", (16000 * tone).astype("<i2").tobytes(), rate=rate)
        result = read_audio(path)
        assert len(result) == RATE
        expected = 16000 / 32768 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
        # The filter has nothing to work with at the very ends.
        np.testing.assert_allclose(result[500:-500], expected[500:-500], atol=1e-3)


class TestDamage:
    def test_missing(self, tmp_path):
        assert reason_of(tmp_path / "a.wav") == "missing-audio"
        assert reason_of(tmp_path) == "missing-audio"

    def test_empty(self, tmp_path):
        (tmp_path / "a.wav").touch()
        assert reason_of(tmp_path / "a.wav") == "empty-audio"
        assert reason_of(b"") == "empty-audio"

    def test_header_without_samples(self, tmp_path):
        assert reason_of(write_wav(tmp_path / "a.wav", b"")) == "empty-audio"
        assert reason_of(write_sphere(tmp_path / "a.sph", pcm()[:0])) == "empty-audio"

    @pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
    def test_truncated_wav(self, tmp_path, kept):
        path = write_wav(tmp_path / "a.wav", pcm().tobytes())
        data = path.read_bytes()
        assert reason_of(data[: int(kept * len(data))]) == "truncated-audio"

    def test_truncated_aiff(self, tmp_path):
        soundfile.write(tmp_path / "a.aiff", pcm(), RATE)
        data = (tmp_path / "a.aiff").read_bytes()
        assert len(read_audio(data)) == len(pcm())
        assert reason_of(data[: len(data) // 2]) == "truncated-audio"

    @pytest.mark.parametrize("kept", [0.5, 0.99])
    def test_truncated_flac(self, tmp_path, kept):
        soundfile.write(tmp_path / "a.flac", pcm(2.0), RATE)
        data = (tmp_path / "a.flac").read_bytes()
        assert reason_of(data[: int(kept * len(data))]) == "truncated-audio"

    def test_truncated_sphere(self, tmp_path):
        path = write_sphere(tmp_path / "a.sph", pcm(), sample_count=2 * len(pcm()))
        assert reason_of(path) == "truncated-audio"

    @pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
    def test_streamed_wav_of_unknown_length_is_whole(self, tmp_path, size):
        samples = pcm()
        data = write_wav(tmp_path / "a.wav", samples.tobytes()).read_bytes()
        data = data[:40] + struct.pack("<I", size) + data[44:]
        if size == 0:
            assert reason_of(data) == "empty-audio"
        else:
            assert len(read_audio(data)) == len(samples)

    @pytest.mark.parametrize("content", [b"no sound at all", b"RIFF", b"NIST_1A\nx", b"fLaC"])
    def test_not_audio(self, content):
        assert reason_of(content) == "not-audio"

    def test_samples_that_are_not_numbers(self, tmp_path):
        for value in (np.nan, np.inf):
            scipy.io.wavfile.write(tmp_path / "a.wav", RATE, np.float32([0.1, value, 0.2]))
            assert reason_of(tmp_path / "a.wav") == "not-audio"

    def test_headerless_without_its_format(self, tmp_path):
        (tmp_path / "a.raw").write_bytes(pcm().tobytes())
        with pytest.raises(AudioError, match="--raw-sample-rate"):
            read_audio(tmp_path / "a.raw")

    @pytest.mark.parametrize(
        "settings",
        [{"encoding": "PCM_17"}, {"endian": "MIDDLE"}, {"channels": 0}, {"sample_rate": 0}],
    )
    def test_impossible_headerless_formats(self, settings):
        with pytest.raises(UserError, match="Headerless audio"):
            RawFormat(**{"sample_rate": RATE, **settings})

    def test_nothing_is_left_after_resampling(self, tmp_path):
        path = write_wav(tmp_path / "a.wav", b"\x10\x10", rate=96000)
        assert reason_of(path) == "empty-audio"


class TestDuration:
    def test_is_that_of_the_samples(self, tmp_path):
        samples = pcm(1.25)
        soundfile.write(tmp_path / "a.flac", samples, RATE)
        (tmp_path / "a.raw").write_bytes(samples.tobytes())
        raw = RawFormat(sample_rate=8000)
        assert audio_duration(tmp_path / "a.flac") == pytest.approx(1.25)
        assert audio_duration(tmp_path / "a.raw", raw=raw) == pytest.approx(2.5)

    def test_tells_what_is_wrong(self, tmp_path):
        with pytest.raises(AudioError) as caught:
            audio_duration(tmp_path / "missing.wav")
        assert caught.value.reason == "missing-audio"


def test_a_name_that_no_file_can_have():
    with pytest.raises(AudioError, match="missing-audio: .*null byte"):
        read_audio("a\0b.wav")
