"""Set up what every test shares."""

import dataclasses
import os
import signal

from orchestrator.settings import Settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before anything imports TensorFlow
# What a developer's `.env` or shell says must not change what is tested, nor send anything to what it names
os.environ["CXR_ENV_FILE"] = os.devnull
SETTINGS = {field.name.upper() for field in dataclasses.fields(Settings)}
for name in {*SETTINGS, "CXR_API_KEY", "FORWARDED_ALLOW_IPS"} & {*os.environ}:
    del os.environ[name]
# Everything that is tested is on this machine
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]
# A shell has what it runs in the background ignore Ctrl-C, and with it every process that a test starts
signal.signal(signal.SIGINT, signal.default_int_handler)
