// The EventSource of the npm package `undici`; headers are added on the way.
const [, , url, token] = process.argv;
const { Agent, EventSource } = await import('undici');
const dispatcher = new Agent().compose((dispatch) => (options, handler) => {
  const headers = Array.isArray(options.headers)
    ? [...options.headers, 'authorization', `Bearer ${token}`]
    : { ...options.headers, authorization: `Bearer ${token}` };
  return dispatch({ ...options, headers }, handler);
});
const source = new EventSource(url, { node: { dispatcher } });
const tell = ({ type, lastEventId, data }) => console.log(JSON.stringify({ type, id: lastEventId, data }));
for (const type of ['ready', 'reset', 'audio:progress', 'audio:complete', 'audio:failed']) {
  source.addEventListener(type, tell);
}
// While it waits to come back it does not keep the program running.
setInterval(() => {}, 60_000);
