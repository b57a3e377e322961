# SPDX-License-Identifier: Apache-2.0
"""The SavedModel that TensorFlow Serving loads, its signatures and its check."""
