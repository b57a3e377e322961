# SPDX-License-Identifier: Apache-2.0
"""The commands of `ds2`, a module each."""
