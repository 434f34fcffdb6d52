"""Metrics and traces: what the service says of itself to Prometheus and to an OpenTelemetry collector."""
