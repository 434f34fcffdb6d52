"""The audit trail: who asked for what, about which analysis, and what came of it; never pixels, names or file names."""
