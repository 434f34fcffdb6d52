"""Describe the HTTP API as OpenAPI 3.1, out of its routes, the types of its answers and its errors."""
