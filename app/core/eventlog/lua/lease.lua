-- Stands before every script that writes of a job: whose it is, and for how long.

-- Why a job takes no events any more; nil where it does.
local function over(state)
  if not state then
    return 'gone'
  elseif state ~= 'waiting' and state ~= 'active' then
    return 'final'
  end
end

-- Whether the job is no longer that attempt's.
local function stale(state, held, attempt)
  return held ~= attempt or state ~= 'active'
end

-- The time of this server, ms.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Whether a lease holds: `till`, and for how many ms it was given. One that has longer to go than that was given before
-- the server's clock was set back. Whoever holds it renews it within a second; so, where it is seen, nobody does.
local function holds(till, given, now)
  local left = tonumber(till or 0) - now
  return left > 0 and left <= tonumber(given or left)
end

-- A lease that was given a moment ago, for as long, is as good as a new one. Another length is another matter: a pause.
local function nearly_new(lease, grace, now)
  local left = tonumber(lease or 0) - now
  return left > 0.9 * grace and left <= grace
end

