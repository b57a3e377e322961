# SPDX-License-Identifier: Apache-2.0
"""The demonstration: from a corpus to a served recogniser, `make demo`."""
