# SPDX-License-Identifier: Apache-2.0
"""Decoding: from scores to text."""
