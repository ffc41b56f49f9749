-- Finds a user's jobs that are overdue, and puts each off, so that no other reaper finds it too. Those are among them
-- that may come out of their line because there are more workers than before.
--
-- KEYS  1 open jobs   then for each queue: jobs that wait in line, jobs that are out of it
-- ARGV  1 ms for which a job is put off   2 most jobs   then for each queue: most jobs out of line
-- Returns the jobs' ids.

local open, now = KEYS[1], clock()
local late = redis.call('ZRANGEBYSCORE', open, '-inf', now, 'LIMIT', 0, ARGV[2])
for _, job in ipairs(late) do
  redis.call('ZADD', open, now + ARGV[1], job)
end
for queue = 1, (#KEYS - 1) / 2 do
  local line, out, most = KEYS[2 * queue], KEYS[2 * queue + 1], tonumber(ARGV[2 + queue])
  for _, job in ipairs(let_out(line, out, open, most, now + ARGV[1])) do
    late[#late + 1] = job
  end
end
return late
