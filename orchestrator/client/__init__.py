"""Ask a running service: send it images, and write what comes back."""
