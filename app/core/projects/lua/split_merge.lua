-- Splits a chapter in two, or merges one with the one before it: chapters, their order, project and log change together.
--
-- KEYS  1 log  2 user  3 project  4 the project's chapters  5 the project's latest jobs  6 open jobs
--       7 the chapter that stays  8 the one that is new ("split") or goes ("merge")
-- ARGV  1 "split" or "merge"  2 and 3 the ids of these two  4 and 5 the digests of their texts that this was made from
--       6 how many characters the project has more  7 the time  8 most chapters and characters  9 the event's data
--       10 channel  11 "PUBLISH" or "SPUBLISH"  12 log length  13 log lifetime, ms
--       14 the digest of the text that the chapter which stays is to have
--       then for the one that stays and the one that is new: how many items follow, and that many: name, value, …
-- Returns "ok", "done" (this was made before: the reply was lost), "gone", "changed", "busy", "crowded" (too many
--          chapters) or "full" (too many characters).

local log, user, project, chapters, made, open, stays, other = unpack(KEYS)
local most_chapters, most_characters = string.match(ARGV[8], '^(%d+) (%d+)$')
local merging, stays_id, other_id = ARGV[1] == 'merge', ARGV[2], ARGV[3]

if redis.call('EXISTS', project) == 0 then
  return 'gone'
end
if not merging and redis.call('EXISTS', other) == 1 then
  return 'done'
end
local text = redis.call('HGET', stays, 'text')
local place = redis.call('ZRANK', chapters, stays_id)
if merging and text == ARGV[14] and redis.call('EXISTS', other) == 0 then
  return 'done'
end
if not text or not place then
  return 'gone'
end
if text ~= ARGV[4] then
  return 'changed'
end
if merging then
  local place_of_other = redis.call('ZRANK', chapters, other_id)
  if not place_of_other then
    return 'gone'
  end
  if place_of_other ~= place + 1 or redis.call('HGET', other, 'text') ~= ARGV[5] then
    return 'changed'
  end
elseif redis.call('ZCARD', chapters) >= tonumber(most_chapters) then
  return 'crowded'
end
local more = tonumber(ARGV[6])
if more > 0 and tonumber(redis.call('HGET', project, 'characters') or 0) + more > tonumber(most_characters) then
  return 'full'
end
for _, owner in ipairs({ 'manuscript', 'book', stays_id, other_id }) do
  local job = redis.call('HGET', made, owner)
  if job and redis.call('ZSCORE', open, job) then
    return 'busy'
  end
end

local at = 15
local function set(key)
  local size = tonumber(ARGV[at])
  if size > 0 then
    redis.call('HSET', key, unpack(ARGV, at + 1, at + size))
  end
  at = at + size + 1
end

set(stays)
if merging then
  redis.call('DEL', other)
  redis.call('ZREM', chapters, other_id)
  redis.call('HDEL', made, other_id)
else
  set(other)
end
-- Places are counted anew, so that there is always room between two of them.
local position = 0
for _, id in ipairs(redis.call('ZRANGE', chapters, 0, -1)) do
  position = position + 1
  redis.call('ZADD', chapters, position, id)
  if id == stays_id and not merging then
    position = position + 1
    redis.call('ZADD', chapters, position, other_id)
  end
end
redis.call('HINCRBY', project, 'characters', ARGV[6])
redis.call('HSET', project, 'chapterCount', position, 'updatedAt', ARGV[7])
local about = string.match(project, '[^:]*$') .. ' -'
push(log, user, { 'project:changed', 'full', ARGV[9] }, about, ARGV[10], ARGV[11], ARGV[12], ARGV[13])
return 'ok'
