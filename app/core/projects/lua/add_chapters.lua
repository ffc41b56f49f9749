-- Writes chapters, as long as their project is there and the job that found them is its worker's.
--
-- KEYS  1 project  2 job  3 the project's chapters  4.. one for each chapter
-- ARGV  1 attempt that the worker holds
--       then for each chapter: id, position, how many items follow, and that many: field name, value, …
-- Returns "ok", "gone" or "stale".

if redis.call('EXISTS', KEYS[1]) == 0 then
  return 'gone'
end
local held = redis.call('HMGET', KEYS[2], 'state', 'attempt')
if held[1] ~= 'active' or held[2] ~= ARGV[1] then
  return 'stale'
end
local at = 2
for i = 4, #KEYS do
  local id, position, size = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  redis.call('HSET', KEYS[i], unpack(ARGV, at + 3, at + 2 + size))
  redis.call('ZADD', KEYS[3], position, id)
  at = at + 3 + size
end
return 'ok'
