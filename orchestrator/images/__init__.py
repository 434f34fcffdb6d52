"""Take uploads apart without trusting them: images of each format, and archives of many."""
