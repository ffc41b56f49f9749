-- A page of a log, its top, and how far back a cursor without an event may reach, all of one moment.
--
-- KEYS  1 log  2 user      ARGV  1 first id (exclusive, with a leading parenthesis)   2 most entries
-- Returns the entries; the id of the last entry of the log, of an empty log the place before its first; and the epoch
-- of the log before this one ("0": there was none).

local rows = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local used = redis.call('HMGET', KEYS[2], 'epoch', 'before')
if last[1] then
  return {rows, last[1][1], used[2] or '0'}
end
local latest = tonumber(used[1] or 0)
local next = math.max(tonumber(redis.call('TIME')[1]), latest + 1)
return {rows, string.format('%.0f-0', next), string.format('%.0f', latest)}
