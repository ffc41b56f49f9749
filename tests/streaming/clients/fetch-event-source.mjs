// The npm package `@microsoft/fetch-event-source`, which is made for browsers.
const [, , url, token] = process.argv;
globalThis.window = globalThis;
const { fetchEventSource } = await import('@microsoft/fetch-event-source/lib/cjs/index.js').then((found) => found.default);
await fetchEventSource(url, {
  headers: { Authorization: `Bearer ${token}` },
  openWhenHidden: true,
  onmessage: ({ event, id, data }) => console.log(JSON.stringify({ type: event, id, data })),
  // Its own way is to come back only from an error.
  onclose: () => {
    throw new Error('closed');
  },
});
