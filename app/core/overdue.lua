-- Finds a user's jobs that are overdue, and puts each off, so that no other reaper finds it too.
--
-- KEYS  1 open jobs      ARGV  1 ms for which a job is put off   2 most jobs
-- Returns the jobs' ids.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local late = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, job in ipairs(late) do
  redis.call('ZADD', KEYS[1], now + ARGV[1], job)
end
return late
