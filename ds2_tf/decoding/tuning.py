# SPDX-License-Identifier: Apache-2.0
"""Finding alpha and beta on development data: a coarse grid, then smaller steps around the best."""

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
        results = decode_many(package.search(options=options), self.log_probs)
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
        )
        for name, with_lm, greedy in [
            ("tuned on", self.development, self.development_greedy),
            ("held out", self.check, self.check_greedy),
        ]:
            lines.append(
                f"{name}: WER {with_lm.words.rate:.2%} (greedy {greedy.words.rate:.2%}), "
                f"{with_lm.words.reference_length} words"
            )
        return "\n".join(lines)


def tune(
    package: DecoderPackage,
    development: DevelopmentSet,
    check: DevelopmentSet,
    *,
    alphas: Sequence[float] = DEFAULT_ALPHAS,
    betas: Sequence[float] = DEFAULT_BETAS,
    refinements: int = 2,
    beam_sizes: Sequence[int] = (),
    report: Callable[[str], None] = lambda line: None,
) -> Tuning:
    """Minimizes word errors, and among equals character errors, then alpha.

    Args:
        package: what to tune; it is not changed.
        development: the utterances to tune on.
        check: others, on which the outcome is measured, once.
        alphas: of the coarse grid.
        betas: of the coarse grid.
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

    def look(alpha: float, beta: float) -> None:
        point = (round(max(alpha, 0.0), 6), round(beta, 6))
        if point not in surface:
            options = dataclasses.replace(package.options, alpha=point[0], beta=point[1])
            surface[point] = development.measure_search(package, options)
            rate = surface[point].words.rate
            report(f"alpha {point[0]:.4g}, beta {point[1]:.4g}: WER {rate:.2%}")

    def best() -> tuple[float, float]:
        return min(surface, key=lambda point: (surface[point].errors, point))

    for alpha in alphas:
        for beta in betas:
            look(alpha, beta)
    step_alpha, step_beta = _step(alphas), _step(betas)
    for _ in range(refinements):
        step_alpha, step_beta = step_alpha / 2, step_beta / 2
        alpha, beta = best()
        for sign_alpha in (-1, 0, 1):
            for sign_beta in (-1, 0, 1):
                look(alpha + sign_alpha * step_alpha, beta + sign_beta * step_beta)
    alpha, beta = best()
    options = dataclasses.replace(package.options, alpha=alpha, beta=beta)
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
            "it does not fit these utterances. Build it from text more like them, or open the "
            "vocabulary (ds2 lm package --open-vocabulary; decoder.search.open_vocabulary in the "
            "configuration of a pipeline)."
        )
    return Tuning(
        options=options,
        surface=surface,
        development=measured,
        development_greedy=greedy,
        check=check.measure_search(package, options),
        check_greedy=check.measure_greedy(package.alphabet),
    )


def _step(values: Sequence[float]) -> float:
    """The distance between neighbours on a coarse grid, where it is smallest."""
    ordered = sorted(set(values))
    return min((b - a for a, b in zip(ordered, ordered[1:])), default=0.5)
