-- The answers of one user to requests with an `Idempotency-Key`, and those requests that are being done.
--
-- KEYS  1 answers: hash of `B <asked> <holder> <until, ms>` or `A <asked> <answer>` by key's digest, and `bytes` of answers
--       2 the same digests by when they came, ms
-- ARGV  1 verb  2 digest  3 holder
--       "begin": 4 asked  5 lease, ms  6 lifetime, ms    "renew": 4 lease, ms    "drop": nothing
--       "keep": 4 most answers  5 most bytes  6 answer
-- Returns "begin": {"yours"}, {"begun"}, {"other"} (the key came with another request) or {"answer", answer}.
-- All others: 1 where the holder still held it, else 0.

local answers, order = KEYS[1], KEYS[2]
local verb, digest, holder = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function forget(name)
  local held = redis.call('HGET', answers, name)
  if held and string.sub(held, 1, 1) == 'A' then
    redis.call('HINCRBY', answers, 'bytes', -#held)
  end
  redis.call('HDEL', answers, name)
  redis.call('ZREM', order, name)
end

local held = redis.call('HGET', answers, digest)

if verb == 'begin' then
  local asked, lease, life = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', order, '-inf', now - life, 'LIMIT', 0, 100)) do
    forget(old)
    if old == digest then
      held = false
    end
  end
  if held then
    local kind, before, rest = string.match(held, '^(%u) (%x+) (.*)$')
    if before ~= asked then
      return { 'other' }
    elseif kind == 'A' then
      return { 'answer', rest }
    end
    local left = tonumber(string.match(rest, '%d+$')) - now
    -- A lease that is longer than any was given before the server's clock was set back.
    if left > 0 and left <= lease then
      return { 'begun' }
    end
  end
  redis.call('HSET', answers, digest, 'B ' .. asked .. ' ' .. holder .. ' ' .. string.format('%.0f', now + lease))
  redis.call('ZADD', order, now, digest)
  redis.call('PEXPIRE', answers, life)
  redis.call('PEXPIRE', order, life)
  return { 'yours' }
end

local asked, by = string.match(held or '', '^B (%x+) (%S+)')
if by ~= holder then
  return 0
end
if verb == 'renew' then
  redis.call('HSET', answers, digest, 'B ' .. asked .. ' ' .. holder .. ' ' .. string.format('%.0f', now + ARGV[4]))
  return 1
end
forget(digest)
if verb == 'drop' then
  return 1
end

local most, room, value = tonumber(ARGV[4]), tonumber(ARGV[5]), 'A ' .. asked .. ' ' .. ARGV[6]
if #value > room then
  return 1
end
redis.call('HSET', answers, digest, value)
redis.call('ZADD', order, now, digest)
local bytes = redis.call('HINCRBY', answers, 'bytes', #value)
local at = 0
while redis.call('ZCARD', order) > most or bytes > room do
  local oldest = redis.call('ZRANGE', order, at, at)[1]
  if not oldest or oldest == digest then
    break
  elseif string.sub(redis.call('HGET', answers, oldest) or 'A', 1, 1) == 'A' then
    forget(oldest)
    bytes = tonumber(redis.call('HGET', answers, 'bytes'))
  else
    at = at + 1
  end
end
return 1
