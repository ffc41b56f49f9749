"""requests-sse, which comes back by itself."""

import json
import sys

from requests_sse import EventSource  # type: ignore[import-not-found] # installed by the test

url, token = sys.argv[1:3]
with EventSource(url, headers={"Authorization": f"Bearer {token}"}, timeout=30, max_connect_retry=100) as source:
    for event in source:
        print(json.dumps({"type": event.type, "id": event.last_event_id, "data": event.data}), flush=True)
