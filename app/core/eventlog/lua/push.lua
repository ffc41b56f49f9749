-- Stands before every script that appends to a log: `push` appends events, publishes them, and returns the last one's id.
--
-- The next id is one more than the last, or the first of an epoch that no log of this user had before.

-- What the user's hash has as `epoch` is the epoch of the log's last event: nothing but this writes to either.
-- A server from 7.0 on counts by itself (`<epoch>-*`); of an older one, which has no such number, the last id is asked for.
local counts = redis.REDIS_VERSION_NUM ~= nil

-- Where a log goes on: epoch, and number of the event before. `used`: what the user's hash has of `epoch` and `fallen`.
local function place(log, user, used)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
  if last[1] and not used[2] then
    return string.match(last[1][1], '^(%d+)-(%d+)$')
  end
  local epoch = math.max(tonumber(redis.call('TIME')[1]), tonumber(used[1] or 0) + 1)
  epoch = string.format('%.0f', epoch)
  redis.call('HSET', user, 'epoch', epoch, 'before', used[1] or 0)
  redis.call('HDEL', user, 'fallen')
  return epoch, 0
end

-- events: type, kind, data, …   about: `<project> <job>`   put_off: whether its lifetime may be left as it is
local function push(log, user, events, about, channel, publish, length, log_ttl, put_off)
  local used = redis.call('HMGET', user, 'epoch', 'fallen')
  local there = redis.call('XLEN', log) > 0
  local epoch, seq = used[1], nil
  if not (counts and there and epoch and not used[2]) then
    epoch, seq = place(log, user, used)
  end
  local id
  for i = 1, #events, 3 do
    id = epoch .. '-*'
    if seq then
      seq = seq + 1
      id = epoch .. '-' .. string.format('%.0f', seq)
    end
    local head = events[i] .. ' ' .. about .. ' ' .. events[i + 1]
    id = redis.call('XADD', log, 'MAXLEN', '~', length, id, 'h', head, 'd', events[i + 2])
    redis.call(publish, channel, id .. ' ' .. head .. '\n' .. events[i + 2])
  end
  if not put_off or not there then
    redis.call('PEXPIRE', log, log_ttl)
  end
  return id
end

