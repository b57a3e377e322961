# SPDX-License-Identifier: Apache-2.0
"""TFX components: each calls a library function that works without TFX."""
