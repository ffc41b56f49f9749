-- Stands before the script that ends jobs: of each user so many ended jobs are kept, the oldest go first.

local FEW = 20

-- Keeps one more, and forgets some of those beyond `most` or older than `life` (ms): their records, and their places among
-- their projects' jobs. All keys are the user's, as `job`, which is declared, is: they lie on one server of a cluster.
local function keep_ended(job, project_id, job_id, now, most, life)
  local prefix = string.match(job, '^(.*:)job:')
  local ended = prefix .. 'ended'
  redis.call('ZADD', ended, now, project_id .. ' ' .. job_id)
  redis.call('PEXPIRE', ended, life)
  local many = math.min(redis.call('ZCARD', ended) - most, FEW)
  local going = many > 0 and redis.call('ZRANGE', ended, 0, many - 1)
    or redis.call('ZRANGEBYSCORE', ended, '-inf', now - life, 'LIMIT', 0, FEW)
  for _, old in ipairs(going) do
    local its_project, id = string.match(old, '^(%S+) (%S+)$')
    redis.call('ZREM', ended, old)
    redis.call('DEL', prefix .. 'job:' .. id)
    redis.call('SREM', prefix .. 'project:' .. its_project .. ':all-jobs', id)
  end
end

