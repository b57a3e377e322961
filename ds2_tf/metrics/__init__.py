# SPDX-License-Identifier: Apache-2.0
"""Word and character error rate."""
