"""How readers follow the event log: the hub, the SSE stream and the long poll."""
