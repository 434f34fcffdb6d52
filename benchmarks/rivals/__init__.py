"""The same model behind other frameworks, each a server of its own in an environment of its own."""
