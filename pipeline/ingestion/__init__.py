# SPDX-License-Identifier: Apache-2.0
"""Ingestion: manifests in, sharded feature records out. Beam, and nothing of TFX."""
