"""Measurements, as ratios of runs made side by side on one machine."""

import os

# What `.env` sets for a service must not change what is measured
os.environ["CXR_ENV_FILE"] = os.devnull
