"""How responses are written: JSON, problems, and JSON that is sent in parts."""
