import assert from "node:assert/strict";
import { test } from "node:test";
import { TIMINGS } from "../../static/js/progress/clock.js";
import { Leadership } from "../../static/js/progress/leadership.js";
import { FakeBrowser } from "./fakes.js";

function joined(browser, changes = {}) {
  const tab = browser.tab();
  const heard = [];
  const handlers = {
    onLead: () => heard.push("lead"),
    onLose: () => heard.push("lose"),
    beat: () => ({ cursor: "7-1" }),
    onMessage: ({ kind }) => heard.push(kind),
    onAsked: () => {},
  };
  const leadership = new Leadership("x", handlers, Object.assign(tab, changes), TIMINGS);
  leadership.join();
  return { tab, heard, leadership };
}

const leaders = (tabs) => tabs.filter(({ leadership }) => leadership.leads);

test("one tab leads, and tells so each second", async () => {
  const browser = new FakeBrowser();
  const tabs = [joined(browser), joined(browser), joined(browser)];
  await browser.clock.pass(10);
  assert.deepEqual(leaders(tabs), [tabs[0]]);
  assert.ok(tabs[1].heard.filter((kind) => kind === "beat").length >= 10);
  assert.ok(!tabs[1].heard.includes("lead"));
});

test("a tab that comes is answered at once", async () => {
  const browser = new FakeBrowser();
  joined(browser);
  await browser.clock.pass(0.5);
  const late = joined(browser);
  await browser.clock.pass(0);
  assert.deepEqual(late.heard, ["beat"]);
});

test("a tab that leaves hands on at once, one after the other", async () => {
  const browser = new FakeBrowser();
  const tabs = [joined(browser), joined(browser), joined(browser)];
  for (const tab of tabs) {
    await browser.clock.pass(0);
    assert.equal(tab.leadership.leads, true);
    tab.leadership.leave();
  }
  await browser.clock.pass(60);
  assert.equal(browser.clock.pending, 0);
});

test("a frozen leader gives way within 3 s, and follows when it wakes up", async () => {
  const browser = new FakeBrowser();
  const tabs = [joined(browser), joined(browser), joined(browser)];
  await browser.clock.pass(2);
  tabs[0].tab.freeze();
  await browser.clock.pass(3);
  const [, ...others] = tabs;
  assert.equal(leaders(others).length, 1);
  await browser.clock.pass(60);
  assert.equal(leaders(others).length, 1);
  tabs[0].tab.thaw();
  await browser.clock.pass(2);
  assert.equal(leaders(tabs).length, 1);
  assert.equal(tabs[0].heard.filter((kind) => kind === "lose").length, 1);
  assert.equal(tabs[0].heard.at(-1), "beat");
});

test("a leader in the background, whose timers come a minute late, is not robbed", async () => {
  const browser = new FakeBrowser();
  const slow = browser.tab();
  slow.late = 60;
  const first = joined(browser, slow);
  const second = joined(browser);
  await browser.clock.pass(300);
  assert.deepEqual([first.leadership.leads, second.heard.includes("lead")], [true, false]);
});

test("a follower that was frozen does not rob a leader that lives", async () => {
  const browser = new FakeBrowser();
  const [first, second] = [joined(browser), joined(browser)];
  await browser.clock.pass(2);
  second.tab.freeze();
  await browser.clock.pass(60);
  second.tab.thaw();
  await browser.clock.pass(5);
  assert.deepEqual([first.leadership.leads, second.heard.includes("lead")], [true, false]);
});

test("every tab leads itself where there are no locks or no channels, or locks are forbidden", async () => {
  const browser = new FakeBrowser();
  const forbidden = { request: () => Promise.reject(new DOMException("no", "SecurityError")) };
  for (const lacking of [{ locks: undefined }, { openChannel: undefined }, { locks: forbidden }]) {
    const tabs = [joined(browser, lacking), joined(browser, lacking)];
    await browser.clock.pass(1);
    assert.equal(leaders(tabs).length, 2);
    for (const { leadership } of tabs) leadership.leave();
  }
});
