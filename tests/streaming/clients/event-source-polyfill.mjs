// The npm package `event-source-polyfill`, which tells its cursor as `?lastEventId=`.
const [, , url, token] = process.argv;
const { default: polyfill } = await import('event-source-polyfill');
const source = new polyfill.EventSourcePolyfill(url, { headers: { Authorization: `Bearer ${token}` } });
const tell = ({ type, lastEventId, data }) => console.log(JSON.stringify({ type, id: lastEventId, data }));
for (const type of ['ready', 'reset', 'audio:progress', 'audio:complete', 'audio:failed']) {
  source.addEventListener(type, tell);
}
