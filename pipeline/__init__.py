# SPDX-License-Identifier: Apache-2.0
"""From manifests to a pushed model: ingestion on Apache Beam, and the TFX pipeline around it."""
