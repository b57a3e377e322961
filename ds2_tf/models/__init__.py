# SPDX-License-Identifier: Apache-2.0
"""Networks built from a ModelConfig, and the directory in which a trained one is kept."""
