-- Marks a log that ends before an event which was read from it: its server was restored to an earlier state.
--
-- KEYS  1 log  2 user      ARGV  1 epoch and  2 seq of the event
-- append.lua then begins a new epoch with the next event.

local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if last[1] then
  local epoch, seq = string.match(last[1][1], '^(%d+)-(%d+)$')
  if epoch == ARGV[1] and tonumber(seq) < tonumber(ARGV[2]) then
    redis.call('HSET', KEYS[2], 'fallen', '1')
  end
end
