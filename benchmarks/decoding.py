# SPDX-License-Identifier: Apache-2.0
"""Speed and accuracy of decoding, beside greedy decoding, flashlight-text and pyctcdecode.

    python -m benchmarks.decoding > decoding.json

The language model is a pruned 3-gram of 2 million words: the documentation in the Python files of
this environment and of Python itself. Utterances of 8 s (400 frames, 29 labels, 112 characters) are
made from sentences that it has not seen, of three kinds that differ in how sure the network is:
"temperature" 1, 2 and 3; see `make_utterances`. Beside a network with 16 % WER on AN4's held-out
speakers, the frames of temperature 1 are:

                                                AN4    temperature 1
    share with a label above 0.99               70 %            82 %
    share with a label above 0.999              56 %            52 %
    probability of the tenth label (median)     1e-7            4e-7
    labels that add up to 0.99 (mean)            1.5             1.2

The other two are flatter, as early in training, and harder to search.

For each kind, alpha and beta are those of a small grid that make the fewest word errors on other
utterances of the kind: for pyctcdecode its own where it is fast enough to find them, at temperature
1, and else those found for this package. Times are CPU seconds of one process, the best of several
rounds in which all decoders take turns, so that they see the same machine. The gain of a second
thread is by the clock and needs idle cores.
"""

from __future__ import annotations

import argparse
import collections
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
# Characters that networks take for each other.
ALIKE = ("aeiouy", "bdgpt", "ckqgx", "fvszx", "mnl", "rwyl", "jgz", "h ", "' ")


def write_text(path: pathlib.Path, words: int) -> int:
    """Writes sentences of the installed documentation; returns their words."""
    written = 0
    paths = sysconfig.get_paths()
    roots = [pathlib.Path(paths[name]) for name in ("purelib", "stdlib")]
    seen = set()
    with open(path, "w", encoding="utf-8") as file:
        for source in (source for root in roots for source in sorted(root.rglob("*.py"))):
            if source in seen:
                continue
            seen.add(source)
            content = source.read_text("utf-8", "ignore")
            # Docstrings, and comments with those that go on in the next line.
            blocks = re.findall(r'"""(.*?)"""', content, re.DOTALL)
            for comment in re.findall(r"(?:^[ \t]*#[^\n]*\n)+", content, re.MULTILINE):
                blocks.append(comment.replace("#", " "))
            for block in blocks:
                for sentence in re.split(r"[.:;>]|\n\s*\n", block):
                    found = re.findall(r"\b[a-z]+(?:'[a-z]+)?\b", sentence.lower())
                    if len(found) >= 5:
                        file.write(" ".join(found) + "\n")
                        written += len(found)
            if written >= words:
                return written
    raise SystemExit(f"There are only {written} words of documentation here, {words} are needed.")


def make_utterances(sentences, count: int, temperature: float, unclear: float, seed: int):
    """Log probabilities float32 [400, 29] of texts of about 112 characters, and the texts.

    Logits, before they are divided by the temperature: labels that are not said have -17 +- 4
    (normal). Between characters the blank has 0. A character has 0 in one frame, the blank there
    -7 +- 3, and the character -8 +- 3 in the frames beside it. A share of the characters is
    unclear: one to three others, seven times in ten ones that are alike, have -2 +- 3 there.
    """
    generator = np.random.default_rng(seed)
    others = {c: "".join(ALPHABET.characters) for c in ALPHABET.characters}
    alike = {
        c: [x for group in ALIKE if c in group for x in group if x != c]
        for c in ALPHABET.characters
    }
    stream = iter(sentences)
    utterances = []
    while len(utterances) < count:
        text = next(stream)
        while len(text) < CHARACTERS:
            text += " " + next(stream)
        text = text[:CHARACTERS].rsplit(" ", 1)[0]
        labels = np.array(ALPHABET.encode(text))
        at = np.linspace(3, FRAMES - 5, len(labels)).astype(int)
        logits = generator.normal(-17, 4, (FRAMES, ALPHABET.size))
        logits[:, 0] = 0
        logits[at, 0] = generator.normal(-7, 3, len(at))
        for beside in (-1, 1):
            heard = generator.normal(-8, 3, len(at))
            logits[at + beside, labels] = np.maximum(logits[at + beside, labels], heard)
        for index in np.flatnonzero(generator.random(len(at)) < unclear):
            for _ in range(generator.integers(1, 4)):
                pool = alike[text[index]] if generator.random() < 0.7 else others[text[index]]
                (label,) = ALPHABET.encode(str(generator.choice(list(pool))))
                logits[at[index], label] = generator.normal(-2, 3)
        logits[at, labels] = 0
        logits /= temperature
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        utterances.append((logits.astype(np.float32), text))
    return utterances


def word_error_rate(decode, utterances) -> float:
    """WER of a decoder."""
    return total(word_errors(text, decode(log_probs)) for log_probs, text in utterances).rate


def fewest_errors(make, utterances) -> tuple[float, float]:
    """Alpha and beta, of a small grid, with which `make(alpha, beta)` errs least."""
    grid = [(alpha, beta) for alpha in (0.3, 0.5, 0.75, 1.0, 1.5) for beta in (0.0, 1.0, 2.0)]
    return min(grid, key=lambda point: word_error_rate(make(*point), utterances))


def measure(decoders: dict, utterances, rounds: int) -> list[dict]:
    """CPU seconds an utterance and WER of each decoder, which take turns."""
    best = {}
    for _ in range(rounds):
        for name, decode in decoders.items():
            decode(utterances[0][0])
            start = time.process_time()
            texts = [decode(log_probs) for log_probs, _ in utterances]
            seconds = (time.process_time() - start) / len(utterances)
            if name not in best or seconds < best[name][0]:
                best[name] = seconds, texts
    results = []
    for name, (seconds, texts) in best.items():
        words = total(word_errors(text, said) for (_, text), said in zip(utterances, texts))
        results.append(
            {
                "decoder": name,
                "cpu_ms": 1000 * seconds,
                "real_time_factor": seconds / SECONDS,
                "times_pyctcdecode": best["pyctcdecode"][0] / seconds,
                "wer": words.rate,
            }
        )
        print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    return results


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


def gain_of_two_threads(search: BeamSearch, utterances, rounds: int) -> float:
    """How many times as fast two threads decode as one: the median of rounds that alternate."""
    log_probs = [log_probs for log_probs, _ in utterances]
    gains = []
    for _ in range(rounds):
        seconds = {}
        for threads in (1, 2):
            start = time.perf_counter()
            list(decode_many(search, log_probs, threads=threads))
            seconds[threads] = time.perf_counter() - start
        gains.append(seconds[1] / seconds[2])
    return float(np.median(gains))


def main() -> None:
    """Runs all of it and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=2_000_000, help="of text (default: 2000000)")
    parser.add_argument("--utterances", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3, help="of each decoder (default: 3)")
    parser.add_argument("--unclear", type=float, default=0.1, help="share of unclear characters")
    parser.add_argument("--temperatures", type=float, nargs="+", default=(1.0, 2.0, 3.0))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        words = write_text(directory / "all", int(args.words * 1.03))
        sentences = (directory / "all").read_text("utf-8").splitlines()
        # Of sentences that occur once, such as no licence is made of.
        single = [s for s, times in collections.Counter(sentences).items() if times == 1]
        unseen = sorted(single[::97])
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
            language="none",
            held_out_share=0,
        )
        print(f"{build.words} words, n-grams {build.counts}", file=sys.stderr, flush=True)
        model = NgramModel(directory / "lm")
        vocabulary = [word for word in model.words if not ALPHABET.unknown_characters(word)]
        half = len(unseen) // 2
        kinds = [
            measure_kind(args, model, vocabulary, unseen[:half], unseen[half:], temperature)
            for temperature in args.temperatures
        ]
    print(
        json.dumps(
            {
                "processor": platform.processor() or platform.machine(),
                "cores": os.cpu_count(),
                "load": os.getloadavg()[0],
                "words": words,
                "words_of_model": build.words,
                "ngrams": build.counts,
                "build_seconds": build.seconds,
                "unclear": args.unclear,
                "kinds": kinds,
            },
            indent=1,
        )
    )


def measure_kind(args, model, vocabulary, tuned_on, measured_on, temperature) -> dict:
    """All decoders on utterances of one temperature."""

    def utterances(sentences, count, seed):
        return make_utterances(sentences, count, temperature, args.unclear, seed)

    def search(alpha, beta, **changes):
        options = BeamOptions(alpha, beta, **changes)
        return BeamSearch(ALPHABET, options, model=model if alpha else None)

    def ours(alpha, beta, **changes):
        decoder = search(alpha, beta, **changes)
        return lambda log_probs: decoder.decode(log_probs, word_times=False)[0].text

    development = utterances(tuned_on, args.utterances, 1)
    # The same search as is measured, with the paper's pruning: fast.
    closed = fewest_errors(lambda *point: ours(*point, cumulative=0.99), development)
    opened = fewest_errors(
        lambda *point: ours(*point, cumulative=0.99, open_vocabulary=True), development
    )

    def theirs(alpha, beta):
        return pyctcdecode(model, vocabulary, BeamOptions(alpha, beta))

    point = fewest_errors(theirs, development) if temperature == 1 else closed
    options = BeamOptions(*closed)
    decoders = {
        "greedy": lambda x: greedy_decode(x[np.newaxis], [len(x)], ALPHABET)[0],
        "prefix beam, no LM": ours(0.0, 0.0),
        "closed": ours(*closed),
        "closed, cumulative 0.999": ours(*closed, cumulative=0.999),
        "closed, cumulative 0.99": ours(*closed, cumulative=0.99),
        "closed, cumulative 0.99, threshold 10": ours(*closed, cumulative=0.99, beam_threshold=10),
        "open": ours(*opened, open_vocabulary=True),
        "open, cumulative 0.99": ours(*opened, cumulative=0.99, open_vocabulary=True),
        "open, cumulative 0.99, threshold 10": ours(
            *opened, cumulative=0.99, beam_threshold=10, open_vocabulary=True
        ),
        "flashlight, all labels": flashlight(model, vocabulary, options, 29, 1000.0),
        "flashlight, 10 labels": flashlight(model, vocabulary, options, 10, 15.0),
        "pyctcdecode": theirs(*point),
    }
    # The flattest cost pyctcdecode seconds each.
    count = args.utterances if temperature < 3 else max(1, args.utterances // 4)
    measured = utterances(measured_on, count, 2)
    return {
        "temperature": temperature,
        "alpha_beta": {"closed": closed, "open": opened, "pyctcdecode": point},
        "utterances": len(measured),
        "results": measure(decoders, measured, args.rounds if temperature < 3 else 1),
        "gain_of_two_threads": gain_of_two_threads(search(*closed), measured, args.rounds),
    }


if __name__ == "__main__":
    main()
