-- Where a log ends, how far back a cursor without an event may reach, and a page of it, all of one moment.
--
-- KEYS  1 log  2 user      ARGV  1 first id (exclusive, with a leading parenthesis)   2 most entries
-- Returns what `top_of` tells, and the entries.

local last, before = top_of(KEYS[1], KEYS[2])
return {last, before, redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])}
