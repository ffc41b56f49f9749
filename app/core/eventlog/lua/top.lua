-- Where a log ends. Stands before every script that tells it (see `app.core.eventlog.log.TOP`).
--
-- Returns the id of its last entry, of an empty log the place before its first; and the epoch of the log before this one
-- ("0": there was none).
local function top_of(log, user)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
  local used = redis.call('HMGET', user, 'epoch', 'before')
  if last[1] then
    return last[1][1], used[2] or '0'
  end
  local latest = tonumber(used[1] or 0)
  local next = math.max(tonumber(redis.call('TIME')[1]), latest + 1)
  return string.format('%.0f-0', next), string.format('%.0f', latest)
end

