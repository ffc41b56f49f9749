-- Counts the places of all workers; a worker announces its own by the way.
--
-- KEYS  1 workers      ARGV  1 `<id> <places>` of the worker that announces itself, or ""   2 ms for which that holds
-- Returns the sum of all places.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local till = now + tonumber(ARGV[2])
if ARGV[1] ~= '' then
  redis.call('ZADD', KEYS[1], till, ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
-- Nothing is announced for longer: such a score was written before the server's clock was set back.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', till), '+inf')
local sum = 0
for _, worker in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  sum = sum + tonumber(string.match(worker, ' (%d+)$'))
end
return sum
