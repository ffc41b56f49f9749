// The npm package `eventsource` of version 3 and later: node eventsource.mjs URL TOKEN PACKAGE
const [, , url, token, name] = process.argv;
const { EventSource } = await import(name);
const source = new EventSource(url, {
  fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } }),
});
const tell = ({ type, lastEventId, data }) => console.log(JSON.stringify({ type, id: lastEventId, data }));
for (const type of ['ready', 'reset', 'audio:progress', 'audio:complete', 'audio:failed']) {
  source.addEventListener(type, tell);
}
// While it waits to come back it does not keep the program running.
setInterval(() => {}, 60_000);
