import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, test } from "node:test";
import { TIMINGS } from "../../static/js/progress/clock.js";
import { Endpoint, SignedOut, Unreachable } from "../../static/js/progress/endpoint.js";

let answer = { status: 200, body: "{}" };
const asked = [];
const server = createServer((request, response) => {
  asked.push(`${request.method} ${request.url} ${request.headers.authorization ?? "-"}`);
  if (!answer) return;
  response.writeHead(answer.status, answer.headers);
  response.end(answer.body);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
after(() => (server.closeAllConnections(), server.close()));
const site = `http://127.0.0.1:${server.address().port}`;

/** An endpoint, and the one answer it gets. */
function endpointWith(status, body, { token = null, headers = {}, timings = TIMINGS } = {}) {
  answer = { status, headers, body: typeof body === "string" ? body : JSON.stringify(body) };
  asked.length = 0;
  return new Endpoint(`${site}/api/events`, token, timings);
}

test("who one is stands beside the events", async () => {
  assert.equal(await endpointWith(200, { user: "alice" }).identify(), "alice");
  assert.deepEqual(asked, ["GET /api/session -"]);
});

test("a token goes in a header, and brings a ticket for the address", async () => {
  const endpoint = endpointWith(201, { ticket: "abc" }, { token: async () => "t0" });
  const ticket = await endpoint.enter();
  assert.deepEqual(asked, ["POST /api/events/tickets Bearer t0"]);
  assert.equal(endpoint.streamAddress("7-1", ticket), `${site}/api/events?after=7-1&ticket=abc`);
  await assert.rejects(endpoint.poll("7-1", 25), Unreachable);
  assert.equal(asked[1], "GET /api/events?after=7-1&wait=25 Bearer t0");
});

test("whoever has just asked need not ask again, once", async () => {
  const endpoint = endpointWith(200, { user: "alice" });
  await endpoint.identify();
  assert.equal(await endpoint.enter(), null);
  assert.equal(asked.length, 1);
  await endpoint.enter();
  assert.equal(asked.length, 2);
});

test("another user in the same browser is somebody else", async () => {
  const endpoint = endpointWith(200, { user: "alice" });
  await endpoint.identify();
  answer = { status: 200, body: '{"user": "bob"}' };
  await assert.rejects(endpoint.identify(), { reason: "other-user" });
});

test("refusals are told apart from what is no answer of ours", async () => {
  await assert.rejects(endpointWith(401, { code: "bad_token" }).identify(), SignedOut);
  const busy = endpointWith(503, { code: "redis_unavailable" }, { headers: { "Retry-After": "7" } });
  await assert.rejects(busy.identify(), {
    reason: "redis_unavailable",
    status: 503,
    retryAfter: 7,
  });
  await assert.rejects(endpointWith(502, "<h1>Bad gateway</h1>").identify(), { reason: "http_502" });
  // A hotel's sign-in page.
  await assert.rejects(endpointWith(200, "<h1>Welcome</h1>").poll(null, 0), { reason: "not_ours" });
});

test("a request that is not answered ends, and so does one that is given up", async () => {
  const endpoint = endpointWith(200, {}, { timings: { ...TIMINGS, request: 0.05 } });
  answer = null;
  await assert.rejects(endpoint.identify(), { reason: "network" });
  const stop = new AbortController();
  const polling = endpoint.poll(null, 25, stop.signal);
  stop.abort();
  await assert.rejects(polling, { reason: "network" });
});

test("a token that cannot be had is reported, and tried again later", async (context) => {
  const reported = [];
  globalThis.reportError = (error) => reported.push(error.message);
  context.after(() => delete globalThis.reportError);
  const token = () => Promise.reject(new Error("no token today"));
  await assert.rejects(endpointWith(200, {}, { token }).enter(), { reason: "no_token" });
  assert.deepEqual(reported, ["no token today"]);
});
