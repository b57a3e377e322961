# SPDX-License-Identifier: Apache-2.0
"""A page about how well recognizers do on a corpus, and where and how they fail."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from ds2_tf.metrics.alignment import (
    CORRECT,
    DELETION,
    INSERTION,
    SUBSTITUTION,
    AlignedWord,
    align_words,
    count_confusions,
)
from ds2_tf.metrics.bootstrap import (
    Interval,
    error_rate_difference_interval,
    error_rate_interval,
)
from ds2_tf.metrics.error_rate import ErrorCounts, character_errors, total, word_errors
from ds2_tf.metrics.slices import DURATION, duration_buckets
from ds2_tf.metrics.utterance_result import UtteranceResult
from ds2_tf.reports.charts import Bar, curve, histogram, interval_bars
from ds2_tf.reports.markup import Markup, join, tag
from ds2_tf.reports.page import (
    card,
    cards,
    details,
    figure,
    page,
    percent,
    section,
    side_by_side,
    table,
)

# Utterances shown of each kind, slices of each field, words of each table.
_MOST_UTTERANCES, _MOST_SLICES, _MOST_WORDS = 10, 25, 20


@dataclasses.dataclass(frozen=True)
class _Counted:
    """One recognizer: errors of each utterance, in the order of the results."""

    name: str
    words: list[ErrorCounts]
    characters: list[ErrorCounts]


def evaluation_page(
    results: Sequence[UtteranceResult], *, title: str, notes: Sequence[str] = ()
) -> str:
    """The page, HTML.

    Args:
        results: every utterance; the first of their hypotheses is that of the recognizer that the
            page is about, the others are compared with it.
        title: of the page.
        notes: sentences that the reader should know, such as what was left out.
    """
    if not results:
        return page(title, tag("p", "No utterance was evaluated.", class_="warning"))
    recognizers = [
        _Counted(
            name,
            [word_errors(r.reference, r.hypotheses[name]) for r in results],
            [character_errors(r.reference, r.hypotheses[name]) for r in results],
        )
        for name in results[0].hypotheses
    ]
    main = recognizers[0]
    return page(
        title,
        _size(results, main),
        (tag("p", note, class_="warning") for note in notes),
        cards(_rate_cards(recognizer) for recognizer in recognizers),
        _recognizers(recognizers),
        _slices(results, main),
        _distribution(results, main),
        _confusions(results, main.name),
        _utterances(results, main),
    )


def _size(results, main) -> Markup:
    words = sum(counts.reference_length for counts in main.words)
    seconds = [r.seconds for r in results if r.seconds is not None]
    text = f"{len(results):,} utterances, {words:,} words"
    if seconds:
        text += f", {sum(seconds) / 3600:.2f} hours"
    return tag(
        "p",
        f"{text}. Rates are errors of the whole corpus over its words or characters; brackets hold "
        "95 % confidence intervals, by bootstrap over utterances.",
        class_="quiet",
    )


def _interval(counts: Sequence[ErrorCounts]) -> Interval:
    return error_rate_interval([c.errors for c in counts], [c.reference_length for c in counts])


def _range(interval: Interval, write: Callable[[float], str] = percent) -> str:
    return f"[{write(interval.low)}, {write(interval.high)}]"


def _rate_cards(recognizer: _Counted) -> Markup:
    return join(
        card(f"{name}, {recognizer.name}", percent(total(counts).rate), _range(_interval(counts)))
        for name, counts in (("WER", recognizer.words), ("CER", recognizer.characters))
    )


def _recognizers(recognizers: Sequence[_Counted]) -> Markup:
    main = recognizers[0]
    rows = []
    for recognizer in recognizers:
        words = total(recognizer.words)
        wrong = sum(counts.errors > 0 for counts in recognizer.words) / len(recognizer.words)
        difference: str | Markup = "–"
        if recognizer is not main:
            interval = error_rate_difference_interval(
                [c.errors for c in recognizer.words],
                [c.errors for c in main.words],
                [c.reference_length for c in main.words],
            )
            change = words.rate - total(main.words).rate
            difference = _with_interval(change, interval, _signed)
        rows.append(
            (
                recognizer.name,
                _with_interval(words.rate, _interval(recognizer.words)),
                _with_interval(total(recognizer.characters).rate, _interval(recognizer.characters)),
                f"{words.substitutions:,}",
                f"{words.deletions:,}",
                f"{words.insertions:,}",
                percent(wrong),
                difference,
            )
        )
    header = (
        "recognizer",
        "WER",
        "CER",
        "substituted",
        "deleted",
        "inserted",
        "utterances with errors",
        f"WER minus that of “{main.name}”",
    )
    return section("Error rates", table(header, rows))


def _with_interval(
    share: float, interval: Interval, write: Callable[[float], str] = percent
) -> Markup:
    return join((write(share), tag("br"), tag("small", _range(interval, write))))


def _signed(share: float) -> str:
    return f"{share:+.2%}"


def _slices(results: Sequence[UtteranceResult], main: _Counted) -> Markup | None:
    names = list(dict.fromkeys(name for result in results for name in result.slices))
    if not names:
        return None
    return section(
        "Slices",
        tag("p", f"Word error rates of “{main.name}”; whiskers are 95 % confidence intervals."),
        (_slice(name, results, main) for name in names),
    )


def _slice(name: str, results: Sequence[UtteranceResult], main: _Counted) -> Markup:
    members = collections.defaultdict(list)
    for index, result in enumerate(results):
        if name in result.slices:
            members[result.slices[name]].append(index)
    rows = []
    for value, indices in members.items():
        words = [main.words[index] for index in indices]
        characters = [main.characters[index] for index in indices]
        rows.append((value, len(indices), total(words), total(characters), _interval(words)))
    buckets = duration_buckets()
    if name == DURATION and all(value in buckets for value in members):
        rows.sort(key=lambda row: buckets.index(row[0]))
        order = "from short to long"
    else:
        rows.sort(key=lambda row: (-row[2].rate, row[0]))
        order = "the worst first"
    shown = rows[:_MOST_SLICES]
    bars = [
        Bar(value, words.rate, interval.low, interval.high, f"{words.reference_length:,} words")
        for value, _, words, _, interval in shown
    ]
    left_out = f"; {len(rows) - len(shown)} more in the table" if len(shown) < len(rows) else ""
    everything = table(
        (name, "utterances", "words", "WER", "interval", "CER"),
        (
            (
                value,
                f"{utterances:,}",
                f"{words.reference_length:,}",
                percent(words.rate),
                _range(interval),
                percent(characters.rate),
            )
            for value, utterances, words, characters, interval in rows
        ),
    )
    return join(
        (
            tag("h3", f"By {name}"),
            figure(interval_bars(bars, percent), f"WER by {name}, {order}{left_out}"),
            details(f"Table of all {len(rows)}", everything),
        )
    )


def _distribution(results: Sequence[UtteranceResult], main: _Counted) -> Markup:
    errors = np.sort([counts.errors for counts in main.words])[::-1]
    figures = [
        figure(
            histogram(
                [100 * counts.rate for counts in main.words], x_label="WER of an utterance in %"
            ),
            "Word error rates of single utterances",
        )
    ]
    if errors.sum():
        shares = 100 * np.cumsum(errors) / errors.sum()
        part = 100 * np.arange(len(errors) + 1) / len(errors)
        figures.append(
            figure(
                curve(
                    part,
                    [0.0, *shares],
                    x_label="% of the utterances, the worst first",
                    y_label="% of the errors",
                ),
                "How unevenly errors are spread",
            )
        )
    perfect = sum(counts.errors == 0 for counts in main.words)
    return section(
        "Utterances",
        tag("p", f"{perfect:,} of {len(results):,} utterances are right, word for word."),
        side_by_side(*figures),
    )


def _confusions(results: Sequence[UtteranceResult], name: str) -> Markup:
    found = count_confusions(align_words(r.reference, r.hypotheses[name]) for r in results)

    def rows(counter: dict, *columns: Callable) -> list[tuple]:
        items = list(counter.items())[:_MOST_WORDS]
        return [tuple(column(key, times) for column in columns) for key, times in items]

    def share(word: str, times: int) -> str:
        return percent(times / found.said[word])

    tables = [
        (
            "Substituted",
            found.substitutions,
            table(
                ("said", "heard", "times", "of said"),
                rows(
                    found.substitutions,
                    lambda pair, _: pair[0],
                    lambda pair, _: pair[1],
                    lambda _, times: f"{times:,}",
                    lambda pair, times: share(pair[0], times),
                ),
                text_columns=(0, 1),
            ),
        ),
        (
            "Deleted",
            found.deletions,
            table(
                ("said", "times", "of said"),
                rows(found.deletions, lambda word, _: word, lambda _, n: f"{n:,}", share),
            ),
        ),
        (
            "Inserted",
            found.insertions,
            table(
                ("heard", "times"),
                rows(found.insertions, lambda word, _: word, lambda _, n: f"{n:,}"),
            ),
        ),
    ]
    return section(
        "Confused words",
        tag("p", f"Of “{name}”, the most frequent first."),
        side_by_side(
            *(
                join((tag("h3", f"{title} ({sum(counter.values()):,})"), content))
                for title, counter, content in tables
                if counter
            )
        ),
    )


def _utterances(results: Sequence[UtteranceResult], main: _Counted) -> Markup:
    def worst_first(index: int) -> tuple:
        counts = main.words[index]
        return (-counts.rate, -counts.errors, results[index].id)

    def best_first(index: int) -> tuple:
        counts = main.words[index]
        # Among equals, a long one is the greater achievement.
        return (counts.rate, -counts.reference_length, results[index].id)

    by_rate = sorted(range(len(results)), key=best_first)
    middle = max(0, (len(by_rate) - _MOST_UTTERANCES) // 2)
    kinds = {
        "Worst": sorted(by_rate, key=worst_first)[:_MOST_UTTERANCES],
        "Around the median": by_rate[middle : middle + _MOST_UTTERANCES],
        "Best": by_rate[:_MOST_UTTERANCES],
    }
    return section(
        "Examples",
        tag(
            "p",
            "The upper line is what was said, the lower what was heard: ",
            (
                tag("span", kind, class_=f"word {kind}")
                for kind in (CORRECT, SUBSTITUTION, DELETION, INSERTION)
            ),
            class_="legend",
        ),
        (
            join(
                (
                    tag("h3", kind),
                    (_utterance(results[index], main.words[index]) for index in indices),
                )
            )
            for kind, indices in kinds.items()
        ),
    )


def _utterance(result: UtteranceResult, counts: ErrorCounts) -> Markup:
    facts = [f"WER {percent(counts.rate)}, {counts.errors} of {counts.reference_length} words"]
    if result.seconds is not None:
        facts.append(f"{result.seconds:.1f} s")
    facts += [f"{name} {value}" for name, value in result.slices.items() if name != DURATION]
    several = len(result.hypotheses) > 1
    return tag(
        "div",
        tag("div", tag("b", result.id), " · " + " · ".join(facts), class_="head"),
        (
            join(
                (
                    tag("div", name, class_="recognizer") if several else None,
                    aligned(align_words(result.reference, text)),
                )
            )
            for name, text in result.hypotheses.items()
        ),
        class_="utterance",
    )


def aligned(words: Sequence[AlignedWord]) -> Markup:
    """Two lines of words, what was said above what was heard, errors in color."""

    def cell(text: str | None, class_: str) -> Markup:
        return tag("span", tag("i", "–") if text is None else text, class_=class_)

    return tag(
        "div",
        (
            tag(
                "span",
                cell(word.reference, "said"),
                cell(word.hypothesis, "heard"),
                class_=f"word {word.kind}",
            )
            for word in words
        ),
        class_="aligned",
    )
