# SPDX-License-Identifier: Apache-2.0
"""Speed and accuracy of decoding, beside greedy decoding, flashlight-text and pyctcdecode.

    python -m benchmarks.decoding > decoding.json

Utterances of 8 s (400 frames, 29 labels) are made from sentences that the language model has not
seen, with noise; the model is a pruned 3-gram of 2 million words: the documentation in the Python
files of this environment. Times are CPU seconds of one process, except for the gain of threads,
which is by the clock and needs idle cores.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import re
import sys
import sysconfig
import tempfile
import time

import numpy as np

from ds2_tf.decoding.beam_search import BeamOptions, BeamSearch
from ds2_tf.decoding.greedy import greedy_decode
from ds2_tf.decoding.ngram_model import NgramModel
from ds2_tf.decoding.parallel import decode_many
from ds2_tf.lm.building import build_lm
from ds2_tf.metrics.error_rate import total, word_errors
from ds2_tf.text.alphabet import Alphabet

SECONDS, FRAMES, CHARACTERS = 8.0, 400, 112
LN10 = float(np.log(10))
ALPHABET = Alphabet.english()


def write_text(path: pathlib.Path, words: int) -> int:
    """Writes sentences of the installed documentation; returns their words."""
    written = 0
    root = pathlib.Path(sysconfig.get_paths()["purelib"])
    with open(path, "w", encoding="utf-8") as file:
        for source in sorted(root.rglob("*.py")):
            content = source.read_text("utf-8", "ignore")
            for block in re.findall(r'"""(.*?)"""', content, re.DOTALL):
                for sentence in re.split(r"[.:;>]|\n\s*\n", block):
                    found = re.findall(r"\b[a-z]+(?:'[a-z]+)?\b", sentence.lower())
                    if len(found) >= 5:
                        file.write(" ".join(found) + "\n")
                        written += len(found)
            if written >= words:
                break
    return written


def make_utterances(sentences: list[str], count: int, noise: float, peak: float, seed: int):
    """Log probabilities float32 [400, 29] of texts of 112 characters, and the texts."""
    generator = np.random.default_rng(seed)
    utterances = []
    stream = iter(sentences)
    while len(utterances) < count:
        text = next(stream)
        while len(text) < CHARACTERS:
            text += " " + next(stream)
        text = text[:CHARACTERS].rsplit(" ", 1)[0]
        labels = ALPHABET.encode(text)
        said = np.zeros(FRAMES, int)
        at = np.linspace(2, FRAMES - 4, len(labels)).astype(int)
        said[at] = labels
        logits = generator.normal(scale=1.0, size=(FRAMES, ALPHABET.size))
        logits[np.arange(FRAMES), said] += peak
        # Some characters are not heard well.
        unclear = at[generator.random(len(at)) < noise]
        logits[unclear] += generator.normal(scale=4.0, size=(len(unclear), ALPHABET.size))
        logits[unclear, said[unclear]] -= 3.0
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        utterances.append((logits.astype(np.float32), text))
    return utterances


def measure(name: str, decode, utterances) -> dict:
    """Decodes one by one."""
    decode(utterances[0][0])
    start = time.process_time()
    texts = [decode(log_probs) for log_probs, _ in utterances]
    seconds = (time.process_time() - start) / len(utterances)
    words = total(word_errors(text, said) for (_, text), said in zip(utterances, texts))
    result = {
        "decoder": name,
        "cpu_ms": 1000 * seconds,
        "real_time_factor": seconds / SECONDS,
        "wer": words.rate,
        "utterances": len(utterances),
    }
    print(json.dumps(result), file=sys.stderr, flush=True)
    return result


def flashlight(model: NgramModel, words: list[str], options: BeamOptions, tokens, threshold):
    """flashlight-text's decoder with a lexicon."""
    from flashlight.lib.text.decoder import (
        CriterionType,
        LexiconDecoder,
        LexiconDecoderOptions,
        SmearingMode,
        Trie,
    )
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary

    dictionary = Dictionary()
    for word in [*words, "<unk>"]:
        dictionary.add_entry(word)
    lm = KenLM(model.path, dictionary)
    trie = Trie(ALPHABET.size, ALPHABET.encode(" ")[0])
    start = lm.start(False)
    for word in words:
        index = dictionary.get_index(word)
        _, score = lm.score(start, index)
        trie.insert(ALPHABET.encode(word + " "), index, score)
    trie.smear(SmearingMode.MAX)
    decoder = LexiconDecoder(
        LexiconDecoderOptions(
            beam_size=options.beam_size,
            beam_size_token=tokens,
            beam_threshold=threshold,
            lm_weight=options.alpha * LN10,
            word_score=options.beta,
            unk_score=-np.inf,
            sil_score=0.0,
            log_add=True,
            criterion_type=CriterionType.CTC,
        ),
        trie,
        lm,
        ALPHABET.encode(" ")[0],
        0,
        dictionary.get_index("<unk>"),
        [],
        False,
    )
    closing = np.full((1, ALPHABET.size), -1e4, np.float32)
    closing[0, ALPHABET.encode(" ")[0]] = 0.0

    def decode(log_probs):
        frames = np.ascontiguousarray(np.concatenate([log_probs, closing]))
        best = decoder.decode(frames.ctypes.data, *frames.shape)[0]
        return " ".join(dictionary.get_entry(index) for index in best.words if index >= 0)

    return decode


def pyctcdecode(model: NgramModel, words: list[str], options: BeamOptions):
    """pyctcdecode with its own pruning."""
    import logging

    from pyctcdecode import build_ctcdecoder

    logging.disable(logging.WARNING)
    decoder = build_ctcdecoder(
        list(ALPHABET.labels), model.path, words, alpha=options.alpha, beta=options.beta
    )
    return lambda log_probs: decoder.decode(log_probs, beam_width=options.beam_size)


def main() -> None:
    """Runs all of it and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=2_100_000, help="of text (default: 2100000)")
    parser.add_argument("--utterances", type=int, default=20)
    parser.add_argument("--slow-utterances", type=int, default=5, help="for pyctcdecode")
    parser.add_argument("--noise", type=float, default=0.25, help="share of unclear characters")
    parser.add_argument(
        "--peak",
        type=float,
        default=9.0,
        help="how far the right label stands out, in logits (default: 9, a well-trained network)",
    )
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--beta", type=float, default=1.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        words = write_text(directory / "all", args.words)
        sentences = (directory / "all").read_text("utf-8").splitlines()
        unseen = sorted(set(sentences[::97]))
        np.random.default_rng(0).shuffle(unseen)
        held = set(unseen)
        with open(directory / "text", "w", encoding="utf-8") as file:
            file.writelines(s + "\n" for s in sentences if s not in held)
        build = build_lm(
            [directory / "text"],
            directory / "lm",
            ALPHABET,
            order=3,
            prune=(0, 0, 1),
            normalization="none",
            held_out_share=0,
        )
        model = NgramModel(directory / "lm")
        vocabulary = [word for word in model.words if not ALPHABET.unknown_characters(word)]
        utterances = make_utterances(unseen, args.utterances, args.noise, args.peak, 0)
        options = BeamOptions(args.alpha, args.beta)

        def ours(**changes):
            alpha, beta = changes.pop("alpha", args.alpha), changes.pop("beta", args.beta)
            with_model = model if alpha else None
            search = BeamSearch(ALPHABET, BeamOptions(alpha, beta, **changes), model=with_model)
            return lambda log_probs: search.decode(log_probs)[0].text

        results = [
            measure(*case, utterances)
            for case in [
                ("greedy", lambda x: greedy_decode(x[np.newaxis], [len(x)], ALPHABET)[0]),
                ("prefix beam, no LM", ours(alpha=0.0, beta=0.0)),
                *(
                    (f"{name} vocabulary, cumulative {share}", ours(cumulative=share, **options_of))
                    for name, options_of in [("closed", {}), ("open", {"open_vocabulary": True})]
                    for share in (0.99, 0.999, 1.0)
                ),
                ("flashlight, all labels", flashlight(model, vocabulary, options, 29, 1000.0)),
                ("flashlight, 10 labels", flashlight(model, vocabulary, options, 10, 15.0)),
            ]
        ]
        few = utterances[: args.slow_utterances]
        results.append(measure("pyctcdecode", pyctcdecode(model, vocabulary, options), few))
        for share in (0.99, 0.999, 1.0):
            name = f"closed vocabulary, cumulative {share}, as few"
            results.append(measure(name, ours(cumulative=share), few))
        search = BeamSearch(ALPHABET, options, model=model)
        clock = {}
        for threads in (1, 2):
            start = time.perf_counter()
            list(decode_many(search, [x for x, _ in utterances] * 4, threads=threads))
            clock[threads] = time.perf_counter() - start
    print(
        json.dumps(
            {
                "processor": platform.processor() or platform.machine(),
                "cores": os.cpu_count(),
                "load": os.getloadavg()[0],
                "peak": args.peak,
                "noise": args.noise,
                "words": words,
                "ngrams": build.counts,
                "build_seconds": build.seconds,
                "results": results,
                "gain_of_two_threads": clock[1] / clock[2],
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
