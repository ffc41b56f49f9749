"""Voice engines: eSpeak NG, Piper, services, and what packages add."""
