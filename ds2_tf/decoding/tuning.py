# SPDX-License-Identifier: Apache-2.0
"""Finding the weights of a search on development data.

A coarse grid of alpha and beta, then smaller steps around the best. With an open vocabulary the
penalty of unknown words is chosen between the two, and the grid repeated with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from ds2_tf.decoding.beam_search import BeamOptions
from ds2_tf.decoding.greedy import greedy_decode
from ds2_tf.decoding.package import DecoderPackage
from ds2_tf.decoding.parallel import decode_many
from ds2_tf.errors import UserError
from ds2_tf.metrics.error_rate import ErrorCounts, character_errors, total, word_errors

DEFAULT_ALPHAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
DEFAULT_BETAS = (-2.0, -1.0, 0.0, 1.0, 2.0, 4.0)
DEFAULT_UNKNOWN_SCORES = (0.0, -2.0, -5.0, -10.0, -15.0, -20.0, -30.0)


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Errors of one way to decode a set of utterances."""

    words: ErrorCounts
    characters: ErrorCounts

    @property
    def errors(self) -> tuple[int, int]:
        """What is minimized: word errors, and among equals character errors."""
        return self.words.errors, self.characters.errors


@dataclasses.dataclass(frozen=True)
class DevelopmentSet:
    """Utterances that have been through the network.

    Attributes:
        log_probs: float [frames, labels] each, natural log.
        references: what was said.
    """

    log_probs: Sequence[np.ndarray]
    references: Sequence[str]

    def parts(self) -> tuple[DevelopmentSet, DevelopmentSet]:
        """Two parts, to tune on and to check on: every third utterance is for the check."""
        indices = range(len(self.references))
        tuned_on = [index for index in indices if index % 3 != 2]
        return self._part(tuned_on), self._part(indices[2::3])

    def _part(self, indices: Sequence[int]) -> DevelopmentSet:
        return DevelopmentSet(
            [self.log_probs[index] for index in indices],
            [self.references[index] for index in indices],
        )

    def measure(self, texts: Sequence[str]) -> Measurement:
        """Counts the errors of the texts, one for each utterance."""
        pairs = list(zip(self.references, texts, strict=True))
        return Measurement(
            total(word_errors(*pair) for pair in pairs),
            total(character_errors(*pair) for pair in pairs),
        )

    def measure_greedy(self, alphabet) -> Measurement:
        """Counts the errors of greedy decoding."""
        return self.measure(
            [greedy_decode(x[np.newaxis], [len(x)], alphabet)[0] for x in self.log_probs]
        )

    def measure_search(self, package: DecoderPackage, options: BeamOptions) -> Measurement:
        """Counts the errors of beam search."""
        results = decode_many(package.search(options=options), self.log_probs, word_times=False)
        return self.measure([best.text for (best, *_) in results])


@dataclasses.dataclass(frozen=True)
class Tuning:
    """What was found.

    Attributes:
        options: the best.
        surface: what was measured for each (alpha, beta) on the development set.
        development: with the best options.
        development_greedy: without a language model.
        check: with the best options on utterances that the choice has not seen.
        check_greedy: of greedy decoding on the same.
    """

    options: BeamOptions
    surface: dict[tuple[float, float], Measurement]
    development: Measurement
    development_greedy: Measurement
    check: Measurement
    check_greedy: Measurement

    @property
    def warning(self) -> str | None:
        """What the utterances say that the choice has not seen, if that is against it."""
        if self.check.words.errors <= self.check_greedy.words.errors:
            return None
        return (
            "warning: on the utterances held out the WER is "
            f"{self.check.words.rate:.2%} with the language model and "
            f"{self.check_greedy.words.rate:.2%} without: the weights may fit those that were "
            "tuned on only. Tune on more utterances, or on text that is more like what is said."
        )

    def to_dict(self) -> dict:
        """The outcome as JSON types."""
        return {
            "options": dataclasses.asdict(self.options),
            "surface": [
                {"alpha": alpha, "beta": beta, "wer": m.words.rate, "cer": m.characters.rate}
                for (alpha, beta), m in sorted(self.surface.items())
            ],
            **{
                name: {"wer": m.words.rate, "cer": m.characters.rate}
                for name in ("development", "development_greedy", "check", "check_greedy")
                for m in [getattr(self, name)]
            },
            "warning": self.warning,
        }

    def summary(self) -> str:
        """The outcome for a terminal: the surface as a table, the best, and the check."""
        alphas = sorted({alpha for alpha, _ in self.surface})
        betas = sorted({beta for _, beta in self.surface})
        lines = ["WER in %; rows: alpha, columns: beta"]
        lines.append(" " * 8 + "".join(f"{beta:8.3g}" for beta in betas))
        for alpha in alphas:
            row = (self.surface.get((alpha, beta)) for beta in betas)
            cells = (f"{100 * m.words.rate:8.2f}" if m else " " * 8 for m in row)
            lines.append(f"{alpha:8.3g}" + "".join(cells))
        lines.append(
            f"best: alpha {self.options.alpha:.4g}, beta {self.options.beta:.4g}, "
            f"beam {self.options.beam_size}"
            + (
                f", unknown score {self.options.unknown_score:.4g}"
                if self.options.open_vocabulary
                else ""
            )
        )
        for name, with_lm, greedy in [
            ("tuned on", self.development, self.development_greedy),
            ("held out", self.check, self.check_greedy),
        ]:
            lines.append(
                f"{name}: WER {with_lm.words.rate:.2%} (greedy {greedy.words.rate:.2%}), "
                f"{with_lm.words.reference_length} words"
            )
        if self.warning:
            lines.append(self.warning)
        return "\n".join(lines)


def tune(
    package: DecoderPackage,
    development: DevelopmentSet,
    check: DevelopmentSet,
    *,
    alphas: Sequence[float] = DEFAULT_ALPHAS,
    betas: Sequence[float] = DEFAULT_BETAS,
    unknown_scores: Sequence[float] = DEFAULT_UNKNOWN_SCORES,
    refinements: int = 2,
    beam_sizes: Sequence[int] = (),
    report: Callable[[str], None] = lambda line: None,
) -> Tuning:
    """Minimizes word errors, and among equals character errors; of equals takes the middle.

    Few utterances do not tell many weights apart. Those in the middle of the ones that are as good
    are the least likely to be bad elsewhere.

    Args:
        package: what to tune; it is not changed.
        development: the utterances to tune on.
        check: others, on which the outcome is measured, once.
        alphas: of the coarse grid.
        betas: of the coarse grid.
        unknown_scores: to try with an open vocabulary, beside that of the package.
        refinements: rounds that look at the neighbours of the best at half the distance of the
            round before. Defaults to 2.
        beam_sizes: to try with the best alpha and beta; the smallest that makes no more errors
            than the largest is chosen. Defaults to that of the package.
        report: is told each measurement, such as print.

    Raises:
        UserError: there are no utterances, or even the best makes more word errors on the
            development set than greedy decoding: the language model does not fit.
    """
    if not development.references or not check.references:
        raise UserError(
            "Tuning needs utterances to tune on and others to check on, got "
            f"{len(development.references)} and {len(check.references)}."
        )
    surface: dict[tuple[float, float], Measurement] = {}
    base = package.options

    def look(alpha: float, beta: float) -> None:
        point = (round(max(alpha, 0.0), 6), round(beta, 6))
        if point not in surface:
            options = dataclasses.replace(base, alpha=point[0], beta=point[1])
            surface[point] = development.measure_search(package, options)
            rate = surface[point].words.rate
            report(f"alpha {point[0]:.4g}, beta {point[1]:.4g}: WER {rate:.2%}")

    def best() -> tuple[float, float]:
        fewest = min(measured.errors for measured in surface.values())
        equals = [point for point, measured in surface.items() if measured.errors == fewest]
        return middle(equals, (_step(alphas), _step(betas)))

    def look_at_grid() -> None:
        for alpha in alphas:
            for beta in betas:
                look(alpha, beta)

    look_at_grid()
    if base.open_vocabulary:
        alpha, beta = best()
        options = dataclasses.replace(base, alpha=alpha, beta=beta)
        unknown = _best_unknown_score(
            package, options, development, surface[alpha, beta], unknown_scores, report
        )
        if unknown != base.unknown_score:
            # What was measured with another penalty cannot be compared.
            base = dataclasses.replace(base, unknown_score=unknown)
            surface.clear()
            look_at_grid()
    step_alpha, step_beta = _step(alphas), _step(betas)
    for _ in range(refinements):
        step_alpha, step_beta = step_alpha / 2, step_beta / 2
        alpha, beta = best()
        for sign_alpha in (-1, 0, 1):
            for sign_beta in (-1, 0, 1):
                look(alpha + sign_alpha * step_alpha, beta + sign_beta * step_beta)
    alpha, beta = best()
    options = dataclasses.replace(base, alpha=alpha, beta=beta)
    measured = surface[alpha, beta]
    if beam_sizes:
        by_size = {}
        for size in sorted(beam_sizes):
            sized = dataclasses.replace(options, beam_size=size)
            by_size[size] = development.measure_search(package, sized)
            report(f"beam {size}: WER {by_size[size].words.rate:.2%}")
        enough = by_size[max(by_size)].errors
        size = min(size for size, m in by_size.items() if m.errors <= enough)
        options = dataclasses.replace(options, beam_size=size)
        measured = by_size[size]
    greedy = development.measure_greedy(package.alphabet)
    if measured.words.errors > greedy.words.errors:
        raise UserError(
            f"With the best weights, alpha {alpha:.4g} and beta {beta:.4g}, the WER is "
            f"{measured.words.rate:.2%}, and {greedy.words.rate:.2%} without the language model: "
            "it does not fit these utterances. Build it from text more like them"
            + (
                "."
                if base.open_vocabulary
                else ", or open the vocabulary (ds2 lm package --open-vocabulary; "
                "decoder.search.open_vocabulary in the configuration of a pipeline)."
            )
        )
    return Tuning(
        options=options,
        surface=surface,
        development=measured,
        development_greedy=greedy,
        check=check.measure_search(package, options),
        check_greedy=check.measure_greedy(package.alphabet),
    )


def middle(
    points: Sequence[tuple[float, float]], scale: tuple[float, float]
) -> tuple[float, float]:
    """The point that is nearest to the mean of all, each coordinate in units of its scale."""
    mean = np.mean(points, axis=0)
    return min(points, key=lambda point: (float(np.sum(np.square((point - mean) / scale))), point))


def _best_unknown_score(package, options, development, measured, scores, report) -> float:
    """The penalty with the fewest errors; among equals that of the package, then the harshest."""
    results = {options.unknown_score: measured}
    for score in scores:
        if score not in results:
            changed = dataclasses.replace(options, unknown_score=score)
            results[score] = development.measure_search(package, changed)
            report(f"unknown score {score:.4g}: WER {results[score].words.rate:.2%}")
    kept = options.unknown_score
    return min(results, key=lambda score: (results[score].errors, score != kept, score))


def _step(values: Sequence[float]) -> float:
    """The distance between neighbours on a coarse grid, where it is smallest."""
    ordered = sorted(set(values))
    return min((b - a for a, b in zip(ordered, ordered[1:])), default=0.5)
