# SPDX-License-Identifier: Apache-2.0
"""Evaluation with TensorFlow Model Analysis: error rates, thresholds, the outcome."""
