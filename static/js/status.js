/**
 * The page that shows administrators how the service is, as long as somebody looks: told on a stream of events, and asked
 * for where the stream is silent.
 */

import { api } from "./api.js";
import { element } from "./components/api-view.js";
import { wireLanguageButton } from "./components/language-button.js";
import { byId } from "./components/parts.js";
import { drawSparkline, sparkline } from "./components/sparkline.js";
import { describeError, formatDuration, formatNumber, formatSize, onLocaleChange, t, translate } from "./i18n.js";
import { CLOCK } from "./progress/clock.js";

const PAUSE_MS = 2000;
const SILENT_MS = 5000; // of a stream that tells every two seconds
const REFUSED_MS = 30_000;
const KEPT = 60;

const plain = (value) => formatNumber(Math.round(value * 10) / 10);
const lag = (value) => (value === null ? t("status.none") : t("status.milliseconds", { value: plain(value) }));
const total = (status, key) => status.queues.reduce((sum, queue) => sum + queue[key], 0);

/** What is shown: its name, its value of two answers, and how it is written. @type {[string, (now: any, before?: any) => number | null, (value: any) => string][]} */
const NUMBERS = [
  ["streams", (now) => now.streams, plain],
  ["polls", (now) => now.polls, plain],
  ["published", perSecond((totals) => totals.published), plain],
  ["delivered", perSecond((totals) => totals.delivered), plain],
  ["lag", meanLag, lag],
  ["requests", perSecond((totals) => totals.requests), plain],
  ["errors", perSecond((totals) => totals.serverErrors), plain],
  ["waiting", (now) => total(now, "waiting"), plain],
  ["active", (now) => total(now, "active"), plain],
  ["voiced", perSecond((totals) => totals.segmentsVoiced), plain],
  ["memory", (now) => now.redis.memoryBytes, formatSize],
  ["clients", (now) => now.redis.clients, plain],
];

const history = new Map(NUMBERS.map(([name]) => [name, []]));
const views = new Map();
let before = null;
let shown = null;
let heard = CLOCK.now(); // when the stream told last
let over = false;

translate(document);
wireLanguageButton(byId("language"));
build();
onLocaleChange(() => {
  build();
  if (shown) draw(shown);
});
follow();

/** A total's growth in a second; none where a process ended meanwhile, which takes its part of the total along. */
function perSecond(of) {
  return (now, before) => {
    if (!before) return 0;
    const seconds = (Date.parse(now.at) - Date.parse(before.at)) / 1000;
    return seconds > 0 ? Math.max(0, of(now.totals) - of(before.totals)) / seconds : 0;
  };
}

/** In milliseconds; null where nothing was delivered meanwhile. */
function meanLag(now, before) {
  const samples = before ? now.totals.lagSamples - before.totals.lagSamples : 0;
  return samples > 0 ? ((now.totals.lagSeconds - before.totals.lagSeconds) / samples) * 1000 : null;
}

async function follow() {
  listen();
  for (;;) {
    await pause();
    over = !document.hidden && CLOCK.now() - heard > SILENT_MS && !(await look());
    if (over) return;
  }
}

/** Follows the stream while the page is to be seen; the browser connects anew by itself, unless it was refused. */
function listen() {
  let source = null;
  const close = () => source?.close();
  const open = () => {
    close();
    if (document.hidden || over) return;
    source = new EventSource("/api/events?status=true");
    source.addEventListener("status", ({ data }) => {
      heard = CLOCK.now();
      take(JSON.parse(data));
    });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return;
      heard = 0;
      setTimeout(open, REFUSED_MS);
    });
  };
  document.addEventListener("visibilitychange", open);
  addEventListener("pagehide", close);
  addEventListener("pageshow", ({ persisted }) => persisted && open());
  open();
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}

/** @returns {Promise<boolean>} whether it is worth to look again */
async function look() {
  try {
    take(await api.status());
    return true;
  } catch (error) {
    if (error.status === 401) location.assign("/signin");
    const final = error.status === 401 || error.status === 403;
    tell(final ? describeError(error) : t("status.failed"));
    return !final;
  }
}

function take(status) {
  for (const [name, of] of NUMBERS) {
    const values = history.get(name);
    values.push(of(status, before));
    if (values.length > KEPT) values.shift();
  }
  before = shown = status;
  tell(status.redis.up ? "" : t("status.redisAway"));
  draw(status);
}

function tell(text) {
  const trouble = byId("trouble");
  trouble.hidden = !text;
  if (trouble.textContent !== text) trouble.textContent = text;
}

function build() {
  views.clear();
  const rows = NUMBERS.map(([name]) => {
    const value = element("dd", { id: `number-${name}` }, t("status.none"));
    const chart = sparkline();
    views.set(name, { value, chart });
    const chartRow = element("dd", {}, chart);
    return element("div", { class: "status-number" }, element("dt", {}, t(`status.${name}`)), value, chartRow);
  });
  byId("numbers").replaceChildren(...rows);
}

function draw(status) {
  for (const [name, , write] of NUMBERS) {
    const values = history.get(name);
    const { value, chart } = views.get(name);
    value.textContent = write(values.at(-1));
    drawSparkline(
      chart,
      values.map((one) => one ?? 0),
      KEPT,
    );
  }
  byId("intro").textContent = t("status.intro", { host: status.host });
  byId("queues").replaceChildren(...status.queues.map(queueRow));
  byId("processes").replaceChildren(...status.processes.map((name) => element("li", {}, name)));
}

function queueRow({ queue, waiting, oldestSeconds, active, completed, failed }) {
  const cells = [formatNumber(waiting), waiting ? formatDuration(oldestSeconds) : t("status.none")];
  cells.push(...[active, completed, failed].map(formatNumber));
  return element("tr", {}, element("th", { scope: "row" }, queue), ...cells.map((text) => element("td", {}, text)));
}
