"""Redis: its client, connections, pub/sub, keys and rate limits."""
