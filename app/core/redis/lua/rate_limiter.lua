-- Lets one more request of a user pass, or says how long it must wait (GCRA, the generic cell rate algorithm): a burst of
-- as many as a minute allows, then one after the other at that rate.
--
-- KEYS  one or more rates      ARGV  for each, how many a minute
-- A key holds when its rate has a whole burst again (µs). Either all rates count the request, or none does.
-- Returns 0, 0 where it may pass; else which rate is spent (1 is the first), and for how long yet (ms).

local MINUTE = 60 * 1000000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local whole, spent, wait = {}, 0, 0
for i, key in ipairs(KEYS) do
  local before = tonumber(redis.call('GET', key) or 0)
  if before > now + MINUTE then
    -- Nobody comes so far ahead: the clock was set back since. What the minute before it was like nobody knows.
    before = 0
  end
  whole[i] = math.max(before, now) + MINUTE / ARGV[i]
  local over = whole[i] - now - MINUTE
  if over > wait then
    spent, wait = i, over
  end
end
if spent == 0 then
  for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', whole[i]), 'PX', math.ceil((whole[i] - now) / 1000))
  end
end
return {spent, math.ceil(wait / 1000)}
