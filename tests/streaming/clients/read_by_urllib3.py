"""urllib3 with the few lines that whoever has no client for events writes."""

import json
import sys
import time

import urllib3

url, token = sys.argv[1:3]
pool, last = urllib3.PoolManager(retries=False), None
while True:
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    if last:
        headers["Last-Event-ID"] = last
    try:
        answer = pool.request("GET", url, headers=headers, preload_content=False)
        fields: dict[str, str] = {}
        rest = b""
        for part in answer.stream(1024, decode_content=True):
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                name, _, value = line.rstrip(b"\r").decode().partition(": ")
                if name:
                    fields[name] = value
                elif "data" in fields:
                    last = fields.get("id", last)
                    told = {"type": fields.get("event"), "id": fields.get("id"), "data": fields["data"]}
                    print(json.dumps(told), flush=True)
                    fields = {}
    except urllib3.exceptions.HTTPError:
        time.sleep(0.2)
