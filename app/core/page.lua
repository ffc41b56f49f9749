-- A page of a log, its top, and what time it is, all of one moment.
--
-- KEYS  1 log      ARGV  1 first id (exclusive with a leading parenthesis)   2 most entries
-- Returns the entries, the id of the last entry of the log or "", and Redis' time in seconds.

local rows = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return {rows, last[1] and last[1][1] or '', redis.call('TIME')[1]}
