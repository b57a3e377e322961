# SPDX-License-Identifier: Apache-2.0
"""Lengths promised by headers that are built by hand."""

import struct

import pytest

from ds2_tf.audio.declared_length import declared_data_bytes


def riff(*chunks):
    body = b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


FORMAT = (b"fmt ", struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16))


@pytest.mark.parametrize("list_size", [10, 11])
def test_wav_chunks_before_the_samples_are_passed_over(list_size):
    data = riff(FORMAT, (b"LIST", b"x" * list_size), (b"data", b"s" * 100))
    assert declared_data_bytes(data) == (100, 100)
    assert declared_data_bytes(data[:-40]) == (100, 60)


def test_what_follows_the_samples_of_a_wav_is_not_counted():
    assert declared_data_bytes(riff(FORMAT, (b"data", b"s" * 100), (b"LIST", b"y" * 50))) == (
        100,
        100,
    )


def test_sphere():
    fields = b"sample_count -i 50\nsample_n_bytes -i 2\nchannel_count -i 2\nend_head\n"
    header = (b"NIST_1A\n   1024\n" + fields).ljust(1024)
    assert declared_data_bytes(header + b"s" * 200) == (200, 200)
    assert declared_data_bytes(header + b"s" * 120) == (200, 120)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"fLaC",
        b"RIFF\0\0\0\0WAVE",
        b"NIST_1A\nnot a number\n",
        b"NIST_1A\n   1024\nsample_count -i many\n",
        (
            b"NIST_1A\n   1024\nsample_count -i 50\nsample_n_bytes -i 2\nchannel_count -i 1\n"
            b"sample_coding -s26 pcm,embedded-shorten-v2.00\n"
        ),
    ],
)
def test_no_promise(data):
    assert declared_data_bytes(data) is None
