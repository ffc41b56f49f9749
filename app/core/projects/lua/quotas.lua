-- What one user has, and what is being made and counts already, so that many at once cannot go past a bound.
--
-- KEYS  1 the user's projects  2 usage: hash of `b:<project>` bytes, `c:<project>` chapters, `s:<project>`
--         bytes of segments, `n` how often it changed, and `r:<id>` = `<projects> <chapters> <bytes>` of what is reserved
--       3 ids of what is reserved, by when that lapses (ms of this server's clock)   4 the project that it is about
-- ARGV  1 verb  2 id of the reservation
--       "reserve": 3 projects  4 chapters  5 bytes  6 lease, ms  7 to 9 the most of each    "renew": 3 lease, ms
--       "settle", "exact": 3 project  4 chapters  5 bytes: so many more, or so many in all
--       "segment": 3 project  4 bytes more  5 most in all    "segments": 3 project  4 bytes in all
--       "recount": as "exact", 6 what `n` was when it was begun to count    "forget": 3 project
--       "create": 3 project  4 bytes  5 its place in the list of projects  6.. its fields: name, value, …
-- Returns "segment": "ok" or "full". "reserve": "ok", or which bound is reached: "projects", "chapters", "bytes". "of": {projects, chapters, bytes,
-- bytes of segments, n}. Others: "ok", or "gone" where there is no such project.

local projects, usage, reserved, project = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local verb, id = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function release(one)
  redis.call('ZREM', reserved, one)
  redis.call('HDEL', usage, 'r:' .. one)
end

local function sums(with_reserved)
  local chapters, bytes, more, segments = 0, 0, 0, 0
  local all = redis.call('HGETALL', usage)
  for i = 1, #all, 2 do
    local kind = string.sub(all[i], 1, 2)
    if kind == 'b:' then
      bytes = bytes + all[i + 1]
    elseif kind == 'c:' then
      chapters = chapters + all[i + 1]
    elseif kind == 's:' then
      segments = segments + all[i + 1]
    elseif kind == 'r:' and with_reserved then
      local p, c, b = string.match(all[i + 1], '^(%d+) (%d+) (%d+)$')
      more, chapters, bytes = more + p, chapters + c, bytes + b
    end
  end
  return redis.call('ZCARD', projects) + more, chapters, bytes, segments
end

if verb == 'of' then
  local count, chapters, bytes, segments = sums(false)
  return { count, chapters, bytes, segments, tonumber(redis.call('HGET', usage, 'n') or 0) }
elseif verb == 'segment' then
  local _, _, _, segments = sums(false)
  if segments + ARGV[4] > tonumber(ARGV[5]) then
    return 'full'
  elseif redis.call('EXISTS', project) == 1 then
    redis.call('HINCRBY', usage, 's:' .. ARGV[3], ARGV[4])
  end
  return 'ok'
elseif verb == 'segments' then
  if redis.call('EXISTS', project) == 1 then
    redis.call('HSET', usage, 's:' .. ARGV[3], ARGV[4])
  end
  return 'ok'
elseif verb == 'reserve' then
  local more = { tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]) }
  local lease = tonumber(ARGV[6])
  -- What lapsed, and what a clock that was set back would keep for ever.
  for _, range in ipairs({ { '-inf', now }, { now + 2 * lease, '+inf' } }) do
    for _, old in ipairs(redis.call('ZRANGEBYSCORE', reserved, range[1], range[2])) do
      release(old)
    end
  end
  local have = { sums(true) }
  for i, name in ipairs({ 'projects', 'chapters', 'bytes' }) do
    if more[i] > 0 and have[i] + more[i] > tonumber(ARGV[6 + i]) then
      return name
    end
  end
  redis.call('HSET', usage, 'r:' .. id, string.format('%.0f %.0f %.0f', more[1], more[2], more[3]))
  redis.call('ZADD', reserved, now + lease, id)
  return 'ok'
elseif verb == 'renew' then
  redis.call('ZADD', reserved, 'XX', now + ARGV[3], id)
  return 'ok'
end

release(id)
if verb == 'release' then
  return 'ok'
elseif verb == 'forget' then
  redis.call('HDEL', usage, 'b:' .. ARGV[3], 'c:' .. ARGV[3], 's:' .. ARGV[3])
  return 'ok'
elseif verb == 'create' then
  redis.call('HSET', project, unpack(ARGV, 6))
  redis.call('ZADD', projects, ARGV[5], ARGV[3])
  redis.call('HINCRBY', usage, 'b:' .. ARGV[3], ARGV[4])
  return 'ok'
elseif redis.call('EXISTS', project) == 0 then
  return 'gone'
elseif verb == 'recount' then
  local changed = (redis.call('HGET', usage, 'n') or '0') ~= ARGV[6]
  if changed or redis.call('ZCOUNT', reserved, now, '+inf') > 0 then
    return 'ok'
  end
end
for i, kind in ipairs({ 'c:', 'b:' }) do
  local told, field = tonumber(ARGV[3 + i]), kind .. ARGV[3]
  local before = verb == 'settle' and tonumber(redis.call('HGET', usage, field) or 0) or 0
  redis.call('HSET', usage, field, string.format('%.0f', math.max(0, before + told)))
end
if verb ~= 'recount' then
  redis.call('HINCRBY', usage, 'n', 1)
end
return 'ok'
