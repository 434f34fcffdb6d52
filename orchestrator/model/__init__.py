"""Ask the model server, by the model contract: the client, its channel, its messages and its errors."""
