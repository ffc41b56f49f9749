-- A page of a log, its top, and how far back a cursor without an event may reach, all of one moment.
--
-- KEYS  1 log  2 user      ARGV  1 first id (exclusive, with a leading parenthesis)   2 most entries
-- Returns the entries, and what `top_of` tells.

local rows = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
return {rows, top_of(KEYS[1], KEYS[2])}
