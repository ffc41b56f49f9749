-- Lets one attempt pass if somebody has not been too fast, or takes one back (the generic cell rate algorithm).
--
-- KEYS  1 the time at which they will have caught up, in ms
-- ARGV  1 ms that an attempt costs   2 attempts that may come at once   3 "1" for an attempt, "-1" to take one back
-- Returns 0 where it passes, else the ms after which the next one does.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Never further ahead than it lets anybody come, even after the server's clock was set back.
local before = math.min(tonumber(redis.call('GET', KEYS[1]) or now), now + ARGV[1] * ARGV[2])
local ahead = math.max(before, now) + ARGV[1] * ARGV[3]
local wait = ahead - ARGV[1] * ARGV[2] - now
if ARGV[3] == '1' and wait > 0 then
  return math.ceil(wait)
end
if ahead > now then
  redis.call('SET', KEYS[1], string.format('%.0f', ahead), 'PX', string.format('%.0f', ahead - now))
else
  redis.call('DEL', KEYS[1])
end
return 0
