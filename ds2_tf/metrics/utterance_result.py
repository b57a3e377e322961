# SPDX-License-Identifier: Apache-2.0
"""One utterance as it was said and as recognizers heard it, and files of such."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping


@dataclasses.dataclass(frozen=True)
class UtteranceResult:
    """One utterance as it was said and as recognizers heard it.

    Attributes:
        id: of the utterance.
        reference: what was said, single spaces between words.
        hypotheses: what was heard, by recognizer, such as "greedy"; the same ones, in the same
            order, for all utterances.
        seconds: length of the recording, where known.
        slices: the parts of the corpus that it belongs to, by field, such as the speaker.
    """

    id: str
    reference: str
    hypotheses: Mapping[str, str]
    seconds: float | None = None
    slices: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to_json(self) -> str:
        """The result as one line."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)


def read_results(paths: Iterable[str | os.PathLike]) -> list[UtteranceResult]:
    """Reads files of a result a line; sorted by id, as runners write in any order."""
    results = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            results += [UtteranceResult(**json.loads(line)) for line in file]
    return sorted(results, key=lambda result: result.id)
