# SPDX-License-Identifier: Apache-2.0
"""Deep Speech 2 on TensorFlow."""

__version__ = "0.1.0"
