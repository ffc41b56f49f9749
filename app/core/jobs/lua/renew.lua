-- Renews a worker's lease on a job, as long as the job is that worker's.
--
-- KEYS  1 job  2 open jobs      ARGV  1 job id   2 attempt that the worker holds   3 ms for which it is leased
--       4 "1" where the job is parked: its worker keeps it, and works at others
-- Returns 1 where the lease was renewed.

local held = redis.call('HMGET', KEYS[1], 'state', 'attempt')
if held[1] ~= 'active' or held[2] ~= ARGV[2] then
  return 0
end
local time = redis.call('TIME')
local till = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3])
redis.call('HSET', KEYS[1], 'lease', till, 'leaseMs', ARGV[3], 'parked', ARGV[4])
redis.call('ZADD', KEYS[2], till, ARGV[1])
return 1
