"""Who may do what: keys, what they open, and how a request shows one."""
