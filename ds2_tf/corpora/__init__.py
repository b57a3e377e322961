# SPDX-License-Identifier: Apache-2.0
"""Corpora: the manifest, what a good utterance is, stored features, importers."""
