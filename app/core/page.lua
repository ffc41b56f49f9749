-- A page of a log, its top, and how far back a cursor without an event may reach, all of one moment.
--
-- KEYS  1 log  2 user      ARGV  1 first id (exclusive, with a leading parenthesis)   2 most entries
-- Returns for each entry its line and its frame (see `app.core.eventlog.Entry`), all in one list; and what `top_of` tells.

local told = {}
for i, row in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])) do
  local id, head, data = row[1], row[2][2], row[2][4]
  told[2 * i - 1] = id .. ' ' .. head
  told[2 * i] = 'id: ' .. id .. '\r\nevent: ' .. string.match(head, '^[^ ]*') .. '\r\ndata: ' .. data .. '\r\n\r\n'
end
return {told, top_of(KEYS[1], KEYS[2])}
