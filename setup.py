# SPDX-License-Identifier: Apache-2.0
"""Packaging of ds2-tf."""

import pathlib
import re

from setuptools import Extension, find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (ROOT / "ds2_tf" / "__init__.py").read_text("utf-8"), re.MULTILINE
).group(1)

# The network, its training and greedy decoding.
CORE = [
    "tensorflow>=2.16.2",
    "keras>=3.12,<3.13",
    "numpy>=1.26",
    "soundfile>=0.13",
    "soxr>=0.5",
    "rapidfuzz>=3.9",
    "pyyaml>=6.0",
    "num2words>=0.5.13",
    "tqdm>=4.66",
]

EXTRAS = {
    # TFX 1.16 is the newest that runs on glibc before 2.39; it needs Python 3.10 and imports dill,
    # which Beam has made optional.
    "pipeline": [
        "tfx==1.16.0; python_version < '3.11'",
        "apache-beam[dill]==2.74.0; python_version < '3.11'",
        "distributed>=2024.5",
    ],
    "serving": ["tensorflow-serving-api>=2.16.1", "grpcio>=1.60"],
    "microphone": ["sounddevice>=0.4"],
    # The page that hears the microphone.
    "web": ["aiohttp>=3.9"],
    "lm": ["kenlm>=0.3.0", "flashlight-text>=0.0.7", "pillow>=10"],
    "tfio": ["tensorflow-io==0.37.1; python_version < '3.12'"],
    "demo": ["espeakng-loader>=0.2.4"],
    "dev": [
        "cryptography>=41",
        "pytest>=8.0",
        "hypothesis>=6.100",
        "jiwer>=4.0",
        "scipy>=1.12",
        "ruff>=0.8",
    ],
}
# Beam search with a language model. Not a Python module but a plain library for ctypes: it does not
# depend on the version of Python. Optional, since all else works without a compiler.
NATIVE = Extension(
    "ds2_tf.decoding._native",
    sources=["ds2_tf/decoding/native/bindings.cpp"],
    depends=[str(path.relative_to(ROOT)) for path in ROOT.glob("ds2_tf/decoding/native/*.h")],
    language="c++",
    extra_compile_args=["-std=c++17", "-O3"],
    optional=True,
)
EXTRAS["all"] = sorted({package for packages in EXTRAS.values() for package in packages})

setup(
    name="ds2-tf",
    version=VERSION,
    description="Deep Speech 2 on TensorFlow, from raw audio to a served recogniser",
    long_description=(ROOT / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["ds2_tf*", "pipeline*", "serving*"]),
    package_data={
        "pipeline": ["schema/*.pbtxt"],
        "ds2_tf": ["decoding/native/*"],
        "serving": ["gateway/static/*"],
    },
    ext_modules=[NATIVE],
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["ds2 = ds2_tf.cli:main"]},
)
