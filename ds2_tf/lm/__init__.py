# SPDX-License-Identifier: Apache-2.0
"""Language models: from text to what decoding uses."""
