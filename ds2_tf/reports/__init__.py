# SPDX-License-Identifier: Apache-2.0
"""Pages for people to read, each a single HTML file that needs no other and no network."""
