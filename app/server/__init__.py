"""The HTTP server: how connections are let in, requests read, and streams given connections of their own."""
