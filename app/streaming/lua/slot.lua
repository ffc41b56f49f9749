-- Takes a place for one more stream of a user, within as many as the user may hold over all web processes, and tells
-- where the user's log ends.
--
-- KEYS  1 streams  2 log  3 user      ARGV  1 web process   2 how many this process holds, with the new one   3 most
--                                           4 lifetime, ms
-- Returns {1, the log's top}, or {0, and the other processes that hold some}.

local total = tonumber(ARGV[2])
local others = {0}
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
  if held[i] ~= ARGV[1] then
    total = total + held[i + 1]
    others[#others + 1] = held[i]
  end
end
if total > tonumber(ARGV[3]) then
  return others
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {1, (top_of(KEYS[2], KEYS[3]))}
