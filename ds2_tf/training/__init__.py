# SPDX-License-Identifier: Apache-2.0
"""Training: loss, feeding, schedules, resuming."""
