"""sseclient-py, which parses and leaves it to others to come back."""

import json
import sys
import time

import requests
import sseclient  # type: ignore[import-not-found] # installed by the test

url, token = sys.argv[1:3]
last = None
while True:
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    if last:
        headers["Last-Event-ID"] = last
    try:
        with requests.get(url, headers=headers, stream=True, timeout=30) as answer:
            answer.raise_for_status()
            for event in sseclient.SSEClient(answer).events():
                last = event.id or last
                print(json.dumps({"type": event.event, "id": event.id, "data": event.data}), flush=True)
    except requests.RequestException:
        time.sleep(0.2)
