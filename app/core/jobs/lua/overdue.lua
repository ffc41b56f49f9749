-- Finds a user's jobs that are overdue, and puts each off, so that no other reaper finds it too. Those are among them
-- that may come out of their line because there are more workers than before.
--
-- The times are those of the server's clock, which may jump. The user's hash has the latest that was seen: where it is
-- earlier now, nothing that lies ahead is trusted, and all of it is looked at soon; where it is later than the reaper has
-- waited, workers are first given the time to renew what they hold.
--
-- KEYS  1 open jobs   2 user   then for each queue: jobs that wait in line, jobs that are out of it
-- ARGV  1 ms for which a job is put off   2 most jobs   3 ms since this reaper looked last, 0 where it has not
--       then for each queue: most jobs out of line
-- Returns the jobs' ids.

local SEEN_MS = 5000 -- how often the time is written down
local open, user, now, put_off = KEYS[1], KEYS[2], clock(), tonumber(ARGV[1])
local waited = tonumber(ARGV[3])

local seen = tonumber(redis.call('HGET', user, 'clock') or 0)
local back = now < seen
local ahead = waited > 0 and seen > 0 and now - seen > waited + 2 * SEEN_MS
if back or now - seen >= SEEN_MS then
  redis.call('HSET', user, 'clock', string.format('%.0f', now))
end
if back then
  local soon = now + put_off
  -- Who waits in line has no time at all.
  for _, job in ipairs(redis.call('ZRANGEBYSCORE', open, '(' .. string.format('%.0f', soon), '(inf')) do
    redis.call('ZADD', open, soon, job)
  end
end

local late = redis.call('ZRANGEBYSCORE', open, '-inf', now, 'LIMIT', 0, ARGV[2])
for _, job in ipairs(late) do
  redis.call('ZADD', open, now + put_off, job)
end
if ahead then
  late = {}
end
for queue = 1, (#KEYS - 2) / 2 do
  local line, out, most = KEYS[2 * queue + 1], KEYS[2 * queue + 2], tonumber(ARGV[3 + queue])
  for _, job in ipairs(let_out(line, out, open, most, now + put_off)) do
    late[#late + 1] = job
  end
end
return late
