// The npm package `eventsource-client`.
const [, , url, token] = process.argv;
const { createEventSource } = await import('eventsource-client');
createEventSource({
  url,
  headers: { Authorization: `Bearer ${token}` },
  onMessage: ({ event, id, data }) => console.log(JSON.stringify({ type: event, id, data })),
});
