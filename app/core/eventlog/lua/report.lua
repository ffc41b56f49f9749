-- Appends events of a job that its worker goes on with. Most writes are of this kind, so it does the least that it can:
-- `append.lua` does the same, and whatever else there is to be done.
--
-- KEYS  1 log  2 job  3 open jobs  4 user
-- ARGV  1 attempt that the writer holds   2 nonce of this very write   3 `<project> <job>`
--       4 ms until the job may be taken over   5 channel  6 "PUBLISH" or "SPUBLISH"  7 log length  8 log lifetime, ms
--       9 type, 10 kind and 11 data of the event   12.. job fields: name, value, …
-- Returns {"ok", id of the event}, or {"refused", reason}.

local log, job, open, user = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local attempt, nonce, about, grace = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

-- A client that lost the reply sends the same write again: it gets the same answer.
local held = redis.call('HMGET', job, 'nonce', 'version', 'state', 'attempt', 'lease')
if held[1] == nonce then
  return {'ok', held[2]}
end
local reason = over(held[3]) or stale(held[3], held[4], attempt) and 'stale'
if reason then
  return {'refused', reason}
end

local now = clock()
local leased = nearly_new(held[5], grace, now)
local id = push(log, user, {ARGV[9], ARGV[10], ARGV[11]}, about, ARGV[5], ARGV[6], ARGV[7], ARGV[8], leased)
redis.call('HSET', job, 'nonce', nonce, 'version', id, unpack(ARGV, 12))
if not leased then
  -- The reaper moves on the time at which it looks again; the lease is the worker's alone.
  redis.call('HSET', job, 'lease', string.format('%.0f', now + grace), 'leaseMs', string.format('%.0f', grace))
  redis.call('ZADD', open, now + grace, string.match(about, '[^ ]*$'))
end
return {'ok', id}
