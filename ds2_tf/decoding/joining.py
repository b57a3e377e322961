# SPDX-License-Identifier: Apache-2.0
"""One transcript of a recording that went through the network in pieces."""

from __future__ import annotations

import bisect
import concurrent.futures
import os
from collections.abc import Iterable, Sequence

import numpy as np

from ds2_tf.decoding.beam_search import BeamSearch
from ds2_tf.decoding.decoder import Decoder, as_decoder
from ds2_tf.decoding.greedy_stream import GreedyStream
from ds2_tf.errors import UserError
from ds2_tf.streaming.results import TimedWord, Transcript
from ds2_tf.text.alphabet import BLANK, Alphabet

# Far below any threshold of a search, and yet finite, for sums and differences to stay numbers.
_IMPOSSIBLE = -100.0


def decode_joined(
    recordings: Iterable[Sequence[tuple[float, np.ndarray]]],
    *,
    frame_seconds: float,
    alphabet: Alphabet,
    decoder: Decoder | BeamSearch | None = None,
    num_best: int = 0,
) -> list[Transcript]:
    """Decodes recordings, each as one utterance, on all cores.

    No word goes across two pieces, but a language model does: it knows what was said before a cut.

    Args:
        recordings: for each its pieces in order: the second at which the piece begins, and its log
            probabilities, float [frames, labels], natural log.
        frame_seconds: duration of an output frame.
        alphabet: the network's labels.
        decoder: a search with that alphabet. Defaults to greedy decoding.
        num_best: most alternatives to give, with a decoder. Defaults to none.

    Returns:
        One transcript a recording, in their order. Times are seconds of the whole recording.
        Its duration is the end of its last output frame.

    Raises:
        UserError: the decoder or the log probabilities are of another alphabet, or alternatives are
            asked for without a decoder.
    """
    decoder = as_decoder(decoder, alphabet)
    check_num_best(num_best, decoder)

    def decode(pieces: Sequence[tuple[float, np.ndarray]]) -> Transcript:
        return _decode(pieces, frame_seconds, alphabet, decoder, num_best)

    # Beam search runs without Python's lock.
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(decode, recordings))


def check_num_best(num_best: int, decoder: object) -> None:
    """Checks how many alternatives are asked for.

    Raises:
        UserError: they are fewer than none, or there is no decoder to find them.
    """
    if num_best < 0:
        raise UserError(f"num_best must be at least 0, got {num_best}.")
    if num_best and decoder is None:
        raise UserError(
            f"num_best={num_best} needs a decoder: greedy decoding finds one text alone."
        )


def _decode(pieces, frame_seconds, alphabet, decoder, num_best) -> Transcript:
    stream = decoder.stream() if decoder else GreedyStream(alphabet)
    border = _border_frame(alphabet)
    firsts, frames = [], 0
    for number, (_, log_probs) in enumerate(pieces):
        if number:
            stream.push(border)
            frames += 1
        firsts.append(frames)
        stream.push(log_probs)
        frames += len(log_probs)

    def seconds(frame: int, of_word_at: int) -> float:
        piece = bisect.bisect_right(firsts, of_word_at) - 1
        return pieces[piece][0] + (frame - firsts[piece]) * frame_seconds

    if decoder:
        alternatives = tuple(decoder.finish(stream, max(num_best, 1)))
        best = alternatives[0]
    else:
        alternatives = ()
        best, *_ = stream.finish()
    words = tuple(
        TimedWord(word.text, seconds(word.start, word.start), seconds(word.end, word.start))
        for word in best.words
    )
    start, log_probs = pieces[-1]
    duration = start + len(log_probs) * frame_seconds
    return Transcript(best.text, words, best.total, duration, alternatives[:num_best])


def _border_frame(alphabet: Alphabet) -> np.ndarray:
    """A frame that is certainly the space between two words, or a blank without spaces."""
    frame = np.full((1, alphabet.size), _IMPOSSIBLE, np.float32)
    frame[0, alphabet.encode(" ")[0] if " " in alphabet.characters else BLANK] = 0.0
    return frame
