"""Set up what every test shares."""

import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before anything imports TensorFlow
# What a developer's `.env` says must not change what is tested
os.environ["CXR_ENV_FILE"] = os.devnull
# A shell has what it runs in the background ignore Ctrl-C, and with it every process that a test starts
signal.signal(signal.SIGINT, signal.default_int_handler)
