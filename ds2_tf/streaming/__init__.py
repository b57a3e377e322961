# SPDX-License-Identifier: Apache-2.0
"""Recognition while the audio still comes: the network in steps, and text from it."""
