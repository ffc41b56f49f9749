-- Appends events of one job to its user's log: job, records, log and push change together, or not at all.
--
-- KEYS  1 log  2 job  3 open jobs  4 user  5 project  6 the project's latest jobs  7 all the project's jobs
--       8 jobs of its queue that wait in line  9 those that are out of it  10.. records that change with the events
-- ARGV  1 guard: "new" (the job does not exist yet), "claim" (a worker takes it), "report" (its worker tells of it),
--         "command" (somebody else ends it)
--       2 attempt that the writer holds ("claim": `<attempt> <state>` that it saw)   3 nonce of this very write
--       4 job id   5 what the job makes: "manuscript", "book" or a chapter's id
--       6 "ends" where the job ends, else ""
--       7 ms until the job may be taken over: a worker's lease, or a pause before it is tried again
--       8 most open jobs, most of that queue out of line, ms after which one that nobody began is looked after,
--         most that have ended
--       9 channel  10 "PUBLISH" or "SPUBLISH"  11 log length  12 log lifetime, ms  13 job lifetime after its end, ms
--       then three lists, each preceded by its length in items:
--       events: type, kind, data, …   job fields: name, value, …
--       and for each record key: fields: name, value, …
-- Returns {"ok", id of the last event, ids of jobs to be handed to the workers …}, {"existing", job id}, or
-- {"refused", reason}. As long as a job waits in line, as many as may be are out of it: an end lets the next one go.

local log, job, open, user, project, made = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local all_made, line, out = KEYS[7], KEYS[8], KEYS[9]
local guard, attempt, nonce, job_id, owner = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local ends, grace = ARGV[6] == 'ends', tonumber(ARGV[7])
local channel, publish, length, log_ttl, job_ttl = ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13]
local most_open, most_out, patience, most_ended
if guard == 'new' or ends then
  most_open, most_out, patience, most_ended = string.match(ARGV[8], '^(%d+) (%d+) (%d+) (%d+)$')
  most_open, most_out = tonumber(most_open), tonumber(most_out)
  patience, most_ended = tonumber(patience), tonumber(most_ended)
end

local now = clock()

-- A client that lost the reply sends the same write again: it gets the same answer.
local held = redis.call('HMGET', job, 'nonce', 'version', 'state', 'attempt', 'lease', 'leaseMs')
if held[1] == nonce then
  return {'ok', held[2], guard == 'new' and not redis.call('ZSCORE', line, job_id) and job_id or nil}
end

if guard == 'new' then
  if held[3] then
    return {'existing', job_id}
  end
  if redis.call('EXISTS', project) == 0 then
    return {'refused', 'gone'}
  end
  local current = redis.call('HGET', made, owner)
  if current and redis.call('ZSCORE', open, current) then
    return {'existing', current}
  end
  if redis.call('ZCARD', open) >= most_open then
    return {'refused', 'full'}
  end
else
  local state, reason = held[3], over(held[3])
  if reason then
    return {'refused', reason}
  elseif guard == 'claim' and held[4] .. ' ' .. state ~= attempt then
    return {'refused', 'stale'}
  elseif guard == 'claim' and holds(held[5], held[6], now) then
    return {'refused', 'leased'}
  elseif guard == 'report' and stale(state, held[4], attempt) then
    return {'refused', 'stale'}
  end
end

local at = 14
local function list()
  local size = tonumber(ARGV[at])
  local items = {}
  for i = 1, size do
    items[i] = ARGV[at + i]
  end
  at = at + size + 1
  return items
end

local leased = guard ~= 'new' and not ends and nearly_new(held[5], grace, now)

local events = list()
local about = string.match(project, '[^:]*$') .. ' ' .. job_id
if ends then
  -- First what takes nothing: a Redis that is full lets a script which has written go on, so that jobs can always end.
  redis.call('ZREM', open, job_id)
  redis.call('ZREM', line, job_id)
  redis.call('SREM', out, job_id)
end
-- Some seconds do not matter to the log's lifetime: where the lease is left as it is, that is, too.
local id = push(log, user, events, about, channel, publish, length, log_ttl, leased)

local fields = list()
if guard ~= 'new' and not ends and not leased then
  table.insert(fields, 'lease')
  table.insert(fields, string.format('%.0f', now + grace))
  table.insert(fields, 'leaseMs')
  table.insert(fields, string.format('%.0f', grace))
end
redis.call('HSET', job, 'nonce', nonce, 'version', id, unpack(fields))
local go = {}
if guard == 'new' then
  redis.call('HSET', made, owner, job_id)
  redis.call('SADD', all_made, job_id)
  if count_out(out, open, most_out) >= most_out then
    redis.call('ZADD', line, redis.call('HINCRBY', user, 'line', 1), job_id)
    redis.call('ZADD', open, 'inf', job_id)
  else
    redis.call('SADD', out, job_id)
    redis.call('ZADD', open, now + grace, job_id)
    go[1] = job_id
  end
elseif ends then
  redis.call('PEXPIRE', job, job_ttl)
  keep_ended(job, string.match(project, '[^:]*$'), job_id, now, most_ended, tonumber(job_ttl))
  go = let_out(line, out, open, most_out, now + patience)
elseif not leased then
  -- The reaper moves on the time at which it looks again; the lease is the worker's alone.
  redis.call('ZADD', open, now + grace, job_id)
end

for i = 10, #KEYS do
  local record = list()
  if redis.call('EXISTS', KEYS[i]) == 1 then
    redis.call('HSET', KEYS[i], unpack(record))
  end
end

return {'ok', id, unpack(go)}
