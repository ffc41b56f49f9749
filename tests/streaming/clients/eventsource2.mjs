// The npm package `eventsource` of version 2, which has an option for headers.
const [, , url, token] = process.argv;
const { default: EventSource } = await import('eventsource2');
const source = new EventSource(url, { headers: { Authorization: `Bearer ${token}` } });
const tell = ({ type, lastEventId, data }) => console.log(JSON.stringify({ type, id: lastEventId, data }));
for (const type of ['ready', 'reset', 'audio:progress', 'audio:complete', 'audio:failed']) {
  source.addEventListener(type, tell);
}
