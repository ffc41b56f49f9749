-- Keeps a web process among the living, and tells which are.
--
-- KEYS  1 web processes      ARGV  1 this process   2 ms for which it is to count as alive
-- Returns whether it counted as alive until now (1 or 0), and all that do.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
-- Nobody counts as alive for longer: such a time was written before the server's clock was set back.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now + ARGV[2]), '+inf')
local new = redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return {1 - new, unpack(redis.call('ZRANGE', KEYS[1], 0, -1))}
