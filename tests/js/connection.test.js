import assert from "node:assert/strict";
import { test } from "node:test";
import { TIMINGS } from "../../static/js/progress/clock.js";
import { SignedOut, Unreachable } from "../../static/js/progress/endpoint.js";
import { Connection } from "../../static/js/progress/connection.js";
import { FakeClock, FakeServer, eventOf } from "./fakes.js";

function linked() {
  const world = { clock: new FakeClock(), server: new FakeServer(), cursor: "7-3", heard: [], statuses: [], out: [] };
  const handlers = {
    cursor: () => world.cursor,
    onCursor: (cursor) => (world.cursor = cursor),
    onEvent: ({ id }) => (world.heard.push(id), (world.cursor = id)),
    onReset: ({ cursor }) => (world.heard.push("reset"), (world.cursor = cursor)),
    onStatus: ({ state, reason }) => world.statuses.push(reason ? `${state}: ${reason}` : state),
    onSignedOut: (error) => world.out.push(error.reason),
  };
  const parts = { stream: world.server.stream, clock: world.clock, timings: TIMINGS, random: () => 0.5 };
  world.link = new Connection(world.server, handlers, parts);
  return world;
}

async function live() {
  const world = linked();
  world.link.open();
  await world.clock.pass(0);
  world.server.streams[0].ready();
  return world;
}

/** A page whose streams are refused, and which polls. */
async function polling() {
  const world = linked();
  world.link.open();
  await world.clock.pass(0);
  world.server.streams[0].end("error");
  await world.clock.pass(1);
  world.server.polls[0].answer();
  await world.clock.pass(1);
  return world;
}

test("a stream is opened from the cursor, and its ready makes it live", async () => {
  const { server, statuses } = await live();
  assert.equal(server.streams[0].address, "/api/events?after=7-3");
  assert.deepEqual(statuses, ["connecting", "live"]);
});

test("a stream without a cursor begins where the server says", async () => {
  const world = linked();
  world.cursor = null;
  world.link.open();
  await world.clock.pass(0);
  world.server.streams[0].ready();
  assert.equal(world.cursor, "7-0");
});

for (const [end, reason] of [["error", "refused"], ["silent", "held-back"]]) {
  test(`a stream that is ${reason} is replaced by the poll from the same cursor`, async () => {
    const { clock, link, server, statuses } = linked();
    link.open();
    await clock.pass(0);
    server.streams[0].end(end);
    await clock.pass(1);
    assert.deepEqual([server.polls[0].after, server.polls[0].wait], ["7-3", 0]);
    server.polls[0].answer([eventOf("7-4")]);
    await clock.pass(1);
    assert.deepEqual([server.polls[0].after, server.polls[0].wait], ["7-4", 25]);
    assert.equal(statuses.at(-1), `polling: ${reason}`);
  });
}

test("a stream is probed beside the poll, and takes over when it is ready", async () => {
  const { clock, heard, server, statuses } = await polling();
  await clock.pass(15);
  assert.deepEqual([server.streams.length, server.polls.length], [1, 1]);
  assert.equal(statuses.at(-1), "polling: refused");
  server.streams[0].onEvent(eventOf("7-4"));
  server.streams[0].ready();
  assert.deepEqual([server.streams.length, server.polls.length, statuses.at(-1)], [1, 0, "live"]);
  assert.deepEqual(heard, ["7-4"]);
});

test("probes that fail become rarer, down to one in five minutes", async () => {
  const { clock, server } = await polling();
  const began = clock.now();
  const at = [];
  while (at.length < 7) {
    await clock.pass(1);
    if (server.streams.length === 0) continue;
    at.push(Math.round((clock.now() - began) / 1000));
    server.streams[0].end("error");
  }
  const pauses = at.map((time, index) => time - (at[index - 1] ?? 0));
  const wanted = [15, 30, 60, 120, 240, 300, 300];
  assert.ok(pauses.every((pause, index) => Math.abs(pause - wanted[index]) <= 2), pauses.join());
  assert.equal(server.polls.length, 1);
});

test("a page that is looked at does not wait for the next probe", async () => {
  const { clock, link, server } = await polling();
  link.wake("shown");
  await clock.pass(0);
  assert.equal(server.streams.length, 1);
});

test("a stream that is cut after it has lasted is opened again, and no poll", async () => {
  const { clock, server, statuses } = await live();
  for (let turn = 0; turn < 5; turn += 1) {
    await clock.pass(31);
    server.streams[0].end("error");
    assert.equal(statuses.at(-1), "connecting: cut");
    await clock.pass(1);
    server.streams[0].ready();
  }
  assert.equal(server.polls.length, 0);
});

test("two streams in a row that are cut too soon are a proxy's doing", async () => {
  const { clock, server, statuses } = await live();
  await clock.pass(10);
  server.streams[0].end("error");
  await clock.pass(1);
  server.streams[0].ready();
  await clock.pass(10);
  server.streams[0].end("error");
  await clock.pass(2);
  server.polls[0].answer();
  await clock.pass(1);
  assert.equal(statuses.at(-1), "polling: cut");
  // What was taken back and is cut again has no second chance, and waits longer for the next.
  await clock.pass(15);
  server.streams[0].ready();
  await clock.pass(10);
  server.streams[0].end("error");
  await clock.pass(4);
  server.polls[0].answer();
  await clock.pass(25);
  assert.equal(server.streams.length, 0);
  await clock.pass(5);
  assert.equal(server.streams.length, 1);
});

test("a server that is away is no fault of streams", async () => {
  const { clock, server, statuses } = await live();
  await clock.pass(10);
  server.away = new Unreachable("network");
  server.streams[0].end("error");
  await clock.pass(60);
  assert.equal(statuses.at(-1), "offline: network");
  server.away = null;
  await clock.pass(30);
  server.streams[0].ready();
  await clock.pass(10);
  server.streams[0].end("error");
  await clock.pass(1);
  assert.deepEqual([server.streams.length, server.polls.length], [1, 0]);
});

test("a stream that falls silent is replaced by the poll, unless the page stood still", async () => {
  const silent = await live();
  silent.server.streams[0].end("silent");
  await silent.clock.pass(1);
  assert.equal(silent.server.polls.length, 1);
  const stale = await live();
  stale.server.streams[0].end("stale");
  await stale.clock.pass(0);
  assert.deepEqual([stale.server.streams.length, stale.server.polls.length], [1, 0]);
});

test("while the server is away it is asked for ever, and at once when the network comes", async () => {
  const { clock, link, server, statuses } = linked();
  server.away = new Unreachable("network");
  link.open();
  await clock.pass(3600);
  assert.ok(statuses.length > 200, String(statuses.length));
  server.away = null;
  assert.ok(link.retryInSeconds <= 30);
  link.wake("online");
  await clock.pass(0);
  assert.equal(server.streams.length, 1);
});

test("what Retry-After says is kept to", async () => {
  const { clock, link, server } = linked();
  server.away = new Unreachable("too_many_streams", { status: 429, retryAfter: 20 });
  link.open();
  await clock.pass(0);
  assert.equal(link.retryInSeconds, 20.5);
});

test("a poll that is cut while it waits is asked to wait less", async () => {
  const { clock, server, statuses } = await polling();
  await clock.pass(4);
  server.polls[0].fail(new Unreachable("http_504", { status: 504 }));
  await clock.pass(0);
  server.polls[0].answer();
  await clock.pass(1);
  assert.ok(server.polls[0].wait <= 4 && server.polls[0].wait >= 2, String(server.polls[0].wait));
  assert.ok(!statuses.includes("offline: http_504"));
});

test("a poll that is refused at once is offline", async () => {
  const { clock, server, statuses } = await polling();
  server.polls[0].fail(new Unreachable("too_many_streams", { status: 429, retryAfter: 5 }));
  await clock.pass(0);
  assert.equal(statuses.at(-1), "offline: too_many_streams");
});

test("goodbye is kept to, without a strike", async () => {
  const { clock, server, statuses } = await live();
  server.streams[0].onControl("goodbye", { retryMs: 2500 });
  assert.deepEqual([statuses.at(-1), server.streams.length], ["connecting: going-away", 0]);
  await clock.pass(2.4);
  assert.equal(server.streams.length, 0);
  await clock.pass(0.1);
  assert.equal(server.streams.length, 1);
});

test("a credential that is about to end is renewed beside the stream, where it can be", async () => {
  const { clock, server, statuses } = await live();
  server.streams[0].onControl("reauth", { secondsLeft: 30 });
  await clock.pass(0);
  assert.equal(server.streams.length, 1);
  server.renewable = true;
  server.streams[0].onControl("reauth", { secondsLeft: 30 });
  await clock.pass(0);
  assert.equal(server.streams.length, 2);
  server.streams[1].ready();
  assert.deepEqual([server.streams.length, statuses.at(-1)], [1, "live"]);
  // One that is no better is not renewed for ever.
  server.streams[0].onControl("reauth", { secondsLeft: 30 });
  await clock.pass(0);
  assert.equal(server.streams.length, 1);
});

test("a network that came or went is not trusted", async () => {
  const { clock, link, server, statuses } = await live();
  const [former] = server.streams;
  link.wake("online");
  await clock.pass(0);
  assert.ok(server.streams.length === 1 && server.streams[0] !== former);
  server.streams[0].ready();
  server.away = new Unreachable("network");
  link.wake("offline");
  await clock.pass(0);
  assert.deepEqual([statuses.at(-1), server.streams.length], ["offline: network", 0]);
});

test("a stream that a probe finds while a cut poll is about to go on, stays alone", async () => {
  const { clock, server } = await polling();
  await clock.pass(15);
  server.polls[0].fail(new Unreachable("network"));
  server.streams[0].ready();
  await clock.pass(1);
  assert.deepEqual([server.streams.length, server.polls.length], [1, 0]);
});

test("a reset of either is passed on", async () => {
  const { clock, heard, server } = await polling();
  server.polls[0].answer([], { cursor: "9-0", jobs: [] });
  await clock.pass(20);
  server.streams[0].onControl("reset", { cursor: "9-1", jobs: [] });
  assert.deepEqual(heard, ["reset", "reset"]);
});

test("who is signed out does not try any more", async () => {
  const { clock, out, server } = await live();
  server.away = new SignedOut();
  server.streams[0].end("error");
  await clock.pass(60);
  assert.deepEqual([out, server.streams.length, server.polls.length, clock.pending], [["signed-out"], 0, 0, 0]);
});

test("what is closed leaves nothing behind, whatever was under way", async () => {
  for (const world of [linked(), await live(), await polling()]) {
    world.link.open();
    world.link.close();
    await world.clock.pass(600);
    assert.deepEqual([world.server.streams.length, world.server.polls.length, world.clock.pending], [0, 0, 0]);
  }
});
