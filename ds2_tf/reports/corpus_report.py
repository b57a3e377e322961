# SPDX-License-Identifier: Apache-2.0
"""A page about a corpus: its size, its lengths, and what may be wrong with it."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence

import numpy as np

from ds2_tf.corpora.manifest import Utterance
from ds2_tf.corpora.measuring import STRETCH_SECONDS, CorpusMeasurements
from ds2_tf.corpora.summary import CorpusSummary
from ds2_tf.reports.charts import columns, histogram
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

# Rows of a table, and of one that is folded away.
_MOST, _MOST_FOLDED = 10, 200
_NAMED_IDS = 5


def corpus_page(measurements: CorpusMeasurements, summary: CorpusSummary, *, title: str) -> str:
    """The page, HTML.

    Args:
        measurements: every utterance.
        summary: of these.
        title: of the page.
    """
    return page(
        title,
        _cards(summary),
        _sizes(summary),
        _concerns(measurements, summary),
        _lengths(measurements),
        _sound(measurements),
        _transcripts(measurements, summary),
        _speakers(measurements),
    )


def _cards(summary: CorpusSummary) -> Markup:
    total = summary.total
    return cards(
        [
            card("speech", f"{total.hours:.2f} h"),
            card("utterances", f"{total.utterances:,}"),
            card("speakers", f"{total.speakers:,}"),
            card("words", f"{total.words:,}", f"{summary.distinct_words:,} distinct"),
            card("characters", f"{total.characters:,}", f"{len(summary.characters)} distinct"),
        ]
    )


def _sizes(summary: CorpusSummary) -> Markup:
    rows = (
        (
            name,
            f"{split.utterances:,}",
            f"{split.hours:.2f}",
            f"{split.speakers:,}",
            f"{split.words:,}",
            f"{split.characters:,}",
        )
        for name, split in {**summary.splits, "total": summary.total}.items()
    )
    header = ("split", "utterances", "hours", "speakers", "words", "characters")
    return section("Splits", table(header, rows))


def _concerns(measurements: CorpusMeasurements, summary: CorpusSummary) -> Markup:
    """Every check with its count, and the names behind it."""
    utterances = measurements.utterances
    unknown = set(summary.unknown_characters)
    checks: list[tuple[str, int, list[tuple[str, str]]]] = [
        (
            "utterances with characters outside the alphabet",
            sum(1 for u in utterances if unknown & set(u.transcript)),
            [
                (f"{character!r} (U+{ord(character):04X})", f"in {count:,} utterances")
                for character, count in summary.unknown_characters.items()
            ],
        ),
        (
            "utterances without a transcript",
            *_listed(u for u in utterances if not u.transcript.strip()),
        ),
        (
            "speakers in more than one split",
            len(summary.speakers_across_splits),
            [(s, ", ".join(splits)) for s, splits in summary.speakers_across_splits.items()],
        ),
        (
            "transcripts in more than one split",
            summary.transcripts_across_splits,
            _transcripts_across_splits(utterances),
        ),
    ]
    if measurements.recordings is not None:
        pairs = list(zip(utterances, measurements.recordings))
        checks += [
            ("recordings that cannot be read", *_listed(u for u, r in pairs if r is None)),
            ("recordings that are clipped", *_listed(u for u, r in pairs if r and r.clipped)),
            (
                "recordings with the samples of another",
                len(summary.repeated_audio),
                [(_ids(ids), f"{len(ids)} times") for ids in summary.repeated_audio],
            ),
        ]
    rows = [(name, f"{count:,}") for name, count, _ in checks]
    return section(
        "Checks",
        table(("check", "found"), rows),
        (
            details(
                f"{name[0].upper()}{name[1:]}: {count:,}",
                table(("", ""), found[:_MOST_FOLDED], text_columns=(0, 1)),
                _left_out(found),
            )
            for name, count, found in checks
            if found
        ),
        None
        if measurements.recordings is not None
        else tag("p", "The recordings were not read.", class_="warning"),
    )


def _left_out(found: Sequence) -> Markup | None:
    if len(found) <= _MOST_FOLDED:
        return None
    return tag("p", f"and {len(found) - _MOST_FOLDED:,} more", class_="quiet")


def _listed(utterances: Iterable[Utterance]) -> tuple[int, list[tuple[str, str]]]:
    found = [(u.id, u.audio) for u in utterances]
    return len(found), found


def _ids(ids: Sequence[str]) -> str:
    more = f", and {len(ids) - _NAMED_IDS:,} more" if len(ids) > _NAMED_IDS else ""
    return ", ".join(ids[:_NAMED_IDS]) + more


def _transcripts_across_splits(utterances: Sequence[Utterance]) -> list[tuple[str, str]]:
    splits = collections.defaultdict(collections.Counter)
    for utterance in utterances:
        splits[utterance.transcript][utterance.split or "unassigned"] += 1
    found = [(text, counts) for text, counts in splits.items() if len(counts) > 1]
    found.sort(key=lambda item: (-item[1].total(), item[0]))
    return [
        (text, ", ".join(f"{split}: {count:,}" for split, count in sorted(counts.items())))
        for text, counts in found
    ]


def _lengths(measurements: CorpusMeasurements) -> Markup:
    timed = [(u, s) for u, s in zip(measurements.utterances, measurements.seconds) if s]
    rates = [(len(u.transcript) / s, u, s) for u, s in timed]
    rates.sort(key=lambda item: (item[0], item[1].id))
    by_length = sorted(timed, key=lambda item: (item[1], item[0].id))

    def rows(items: Iterable[tuple[float, Utterance, float]]) -> list[tuple]:
        return [(u.id, f"{s:.2f}", f"{rate:.1f}", u.transcript) for rate, u, s in items]

    def extremes(items: Iterable[tuple[float, Utterance, float]]) -> Markup:
        header = ("utterance", "seconds", "characters / s", "transcript")
        return table(header, rows(items), text_columns=(0, 3))

    def of_length(items: Iterable[tuple[Utterance, float]]) -> Markup:
        return extremes((len(u.transcript) / s, u, s) for u, s in items)

    return section(
        "Lengths and speech rate",
        side_by_side(
            figure(histogram([s for _, s in timed], x_label="seconds"), "Lengths of utterances"),
            figure(
                histogram([rate for rate, _, _ in rates], x_label="characters per second"),
                "Speech rate",
            ),
        ),
        tag(
            "p",
            "A transcript that does not belong to its recording, or is cut short, shows in a rate "
            "that nobody speaks at.",
            class_="quiet",
        ),
        details("The fastest speech", extremes(reversed(rates[-_MOST:]))),
        details("The slowest speech", extremes(rates[:_MOST])),
        details("The longest utterances", of_length(reversed(by_length[-_MOST:]))),
        details("The shortest utterances", of_length(by_length[:_MOST])),
    )


def _sound(measurements: CorpusMeasurements) -> Markup | None:
    if measurements.recordings is None:
        return None
    read = [(u, r) for u, r in zip(measurements.utterances, measurements.recordings) if r]
    formats = collections.Counter(r.format for _, r in read)
    silent = sum(r.silent_seconds for _, r in read) / (sum(r.seconds for _, r in read) or 1.0)
    quiet = sorted(
        read,
        key=lambda item: (-max(item[1].leading_seconds, item[1].trailing_seconds), item[0].id),
    )[:_MOST]
    plots = (
        ("leading_seconds", "seconds before the first sound", "Leading quiet", STRETCH_SECONDS),
        ("trailing_seconds", "seconds after the last sound", "Trailing quiet", STRETCH_SECONDS),
        ("peak_decibels", "peak in dB of full scale", "Loudest sample", None),
    )
    return section(
        "Sound",
        tag("p", "Recordings: ", "; ".join(f"{n:,} of {name}" for name, n in formats.items())),
        tag(
            "p",
            f"{percent(silent)} of the time is quiet: 40 dB or more below the loudest 20 ms of its "
            "recording. Where noise is louder than that, there is no quiet.",
        ),
        side_by_side(
            *(
                figure(
                    histogram([getattr(r, name) for _, r in read], x_label=label, step=step),
                    caption,
                )
                for name, label, caption, step in plots
            ),
            figure(
                histogram(
                    [100 * r.silent_seconds / max(r.seconds, 1e-9) for _, r in read],
                    x_label="% of the recording",
                ),
                "Share of quiet",
            ),
        ),
        details(
            "The longest leading or trailing quiet",
            table(
                ("utterance", "leading s", "trailing s", "seconds"),
                (
                    (
                        u.id,
                        f"{r.leading_seconds:.2f}",
                        f"{r.trailing_seconds:.2f}",
                        f"{r.seconds:.2f}",
                    )
                    for u, r in quiet
                ),
            ),
        ),
    )


def _transcripts(measurements: CorpusMeasurements, summary: CorpusSummary) -> Markup:
    texts = [u.transcript for u in measurements.utterances]
    words = collections.Counter(word for text in texts for word in text.split())
    once = sum(1 for count in words.values() if count == 1)
    repeated = [(t, n) for t, n in collections.Counter(texts).most_common() if n > 1]
    shown = {("␣" if c == " " else c): n for c, n in summary.characters.items()}
    return section(
        "Transcripts",
        tag(
            "p",
            f"{summary.repeated_transcripts:,} utterances repeat the transcript of one before; "
            f"{once:,} of {len(words):,} words occur once.",
        ),
        figure(
            columns(list(shown)[:60], list(shown.values())[:60], y_label="times"),
            "Characters, ␣ for the space",
        ),
        figure(
            histogram([len(text.split()) for text in texts], x_label="words", step=1),
            "Words in an utterance",
        ),
        details(
            "The most frequent words",
            table(("word", "times"), ((w, f"{n:,}") for w, n in words.most_common(3 * _MOST))),
        ),
        details(
            f"Repeated transcripts: {len(repeated):,}",
            table(("transcript", "times"), ((t, f"{n:,}") for t, n in repeated[:_MOST_FOLDED])),
            _left_out(repeated),
        )
        if repeated
        else None,
    )


def _speakers(measurements: CorpusMeasurements) -> Markup | None:
    minutes = collections.Counter()
    number = collections.Counter()
    splits = collections.defaultdict(set)
    for utterance, seconds in zip(measurements.utterances, measurements.seconds):
        if utterance.speaker is not None:
            minutes[utterance.speaker] += (seconds or 0.0) / 60
            number[utterance.speaker] += 1
            splits[utterance.speaker].add(utterance.split or "unassigned")
    if not minutes:
        return None
    ordered = sorted(minutes.items(), key=lambda item: (-item[1], item[0]))
    largest = ordered[0][1] / (sum(minutes.values()) or 1.0)
    middle = float(np.median(list(minutes.values())))
    return section(
        "Speakers",
        tag(
            "p",
            f"Half of the {len(ordered):,} speakers speak for less than {middle:.1f} minutes; the "
            f"one who speaks most has {percent(largest)} of the time.",
        ),
        figure(
            histogram(list(minutes.values()), x_label="minutes", y_label="speakers"),
            "Speech of each speaker",
        ),
        details(
            f"Table of {min(len(ordered), _MOST_FOLDED):,} speakers",
            join(
                [
                    table(
                        ("speaker", "minutes", "utterances", "splits"),
                        (
                            (
                                name,
                                f"{spoken:.1f}",
                                f"{number[name]:,}",
                                ", ".join(sorted(splits[name])),
                            )
                            for name, spoken in ordered[:_MOST_FOLDED]
                        ),
                        text_columns=(0, 3),
                    ),
                    _left_out(ordered),
                ]
            ),
        ),
    )
