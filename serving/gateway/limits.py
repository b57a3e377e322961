# SPDX-License-Identifier: Apache-2.0
"""What one page, and all of them together, may ask for."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ds2_tf.errors import UserError


@dataclass(frozen=True)
class Limits:
    """Limits of the gateway.

    Attributes:
        max_sessions: utterances that are heard at the same time. Defaults to 32.
        max_seconds: longest utterance; what is longer is cut off there, and the page says so.
            Defaults to 600.
        idle_seconds: an utterance without audio for so long is ended. Defaults to 30.
        pending_seconds: audio that may wait for the model before no more is read from the page.
            Defaults to 5.
        max_upload_bytes: largest file that is read for a page. Defaults to 200 MiB.
    """

    max_sessions: int = 32
    max_seconds: float = 600.0
    idle_seconds: float = 30.0
    pending_seconds: float = 5.0
    max_upload_bytes: int = 200 * 2**20

    def __post_init__(self):
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise UserError(f"{field.name} must be positive, got {getattr(self, field.name)}.")
