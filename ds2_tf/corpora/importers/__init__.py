# SPDX-License-Identifier: Apache-2.0
"""From a corpus as it is published to a manifest.

An importer points at the recordings where they lie and copies nothing. It assigns the splits and
judges no utterance: what cannot be used is for `ds2 corpus check` to find and count.
"""
