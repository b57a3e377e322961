# SPDX-License-Identifier: Apache-2.0
"""Text: the output alphabet and the normalization of transcripts."""
