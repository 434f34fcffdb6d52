"""Set up what every test shares."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before anything imports TensorFlow
# What a developer's `.env` says must not change what is tested
os.environ["CXR_ENV_FILE"] = os.devnull
