-- Stands before every script that hands a user's jobs to the workers. Of each queue a user has no more jobs with the
-- workers (`out`, a set) than may be; the others wait in line (`line`, by their numbers).

-- How many of a queue's jobs are out. What has ended by a process of an earlier version does not count.
local function count_out(out, open, most)
  local count = redis.call('SCARD', out)
  if count < most then
    return count
  end
  for _, job in ipairs(redis.call('SMEMBERS', out)) do
    if not redis.call('ZSCORE', open, job) then
      redis.call('SREM', out, job)
      count = count - 1
    end
  end
  return count
end

-- Lets as many out of the line as may be; their ids. Should whoever asked die before they are handed on, the reaper,
-- who looks at `till`, does it.
local function let_out(line, out, open, most, till)
  local go = {}
  if redis.call('EXISTS', line) == 0 then
    return go
  end
  for _ = count_out(out, open, most) + 1, most do
    local first = redis.call('ZPOPMIN', line)
    if not first[1] then
      break
    end
    redis.call('SADD', out, first[1])
    redis.call('ZADD', open, till, first[1])
    go[#go + 1] = first[1]
  end
  return go
end

