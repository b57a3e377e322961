# SPDX-License-Identifier: Apache-2.0
"""The error whose message is written for the person at the keyboard."""


class UserError(Exception):
    """Something the user can put right: a file, a value, a flag.

    The message says what was wrong, the values involved and what to do. The command line prints it
    without a traceback and exits with status 1.
    """
