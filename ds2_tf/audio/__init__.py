# SPDX-License-Identifier: Apache-2.0
"""Audio: reading any file to mono samples, and the log-spectrogram."""
