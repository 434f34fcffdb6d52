"""Say how many workers and model servers a rate of images needs: ``python -m benchmarks.capacity``.

The costs of an image are measured (``--measure``), the rest is arithmetic, and a simulation of the
queue checks the arithmetic.
"""
