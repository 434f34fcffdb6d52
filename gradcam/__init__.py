"""Grad-CAM in NumPy and Pillow: scaling of maps, colouring, drawing."""
