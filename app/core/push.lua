-- Stands before every script that appends to a log: `push` appends events, publishes them, and returns the last one's id.
--
-- The next id is one more than the last, or the first of an epoch that no log of this user had before.
-- events: type, kind, data, … about: `<project> <job>` put_off: whether the log was given its lifetime a moment ago

local function push(log, user, events, about, channel, publish, length, log_ttl, put_off)
  local epoch, seq
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
  local used = redis.call('HMGET', user, 'epoch', 'fallen')
  if last[1] and not used[2] then
    epoch, seq = string.match(last[1][1], '^(%d+)-(%d+)$')
    seq = tonumber(seq)
  else
    epoch = math.max(tonumber(redis.call('TIME')[1]), tonumber(used[1] or 0) + 1)
    epoch, seq = string.format('%.0f', epoch), 0
    redis.call('HSET', user, 'epoch', epoch, 'before', used[1] or 0)
    redis.call('HDEL', user, 'fallen')
  end
  local id
  for i = 1, #events, 3 do
    seq = seq + 1
    id = epoch .. '-' .. string.format('%.0f', seq)
    local head = events[i] .. ' ' .. about .. ' ' .. events[i + 1]
    redis.call('XADD', log, 'MAXLEN', '~', length, id, 'h', head, 'd', events[i + 2])
    redis.call(publish, channel, id .. ' ' .. head .. '\n' .. events[i + 2])
  end
  if not put_off or not last[1] then
    redis.call('PEXPIRE', log, log_ttl)
  end
  return id
end

