# SPDX-License-Identifier: Apache-2.0
"""The clipped rectifier."""

import numpy as np
import pytest

from ds2_tf.layers import clipped_relu


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_clips_at_0_and_20_and_keeps_the_dtype(dtype):
    x = np.array([-np.inf, -1.0, 0.0, 0.5, 20.0, 20.5, np.inf], dtype)
    y = clipped_relu(x).numpy()
    assert y.dtype == dtype
    assert y.tolist() == [0.0, 0.0, 0.0, 0.5, 20.0, 20.0, 20.0]
