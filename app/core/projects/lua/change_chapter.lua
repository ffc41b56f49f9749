-- Changes a chapter, and how many characters its project has, in one step.
--
-- KEYS  1 project  2 chapter  3 the project's latest jobs  4 open jobs
-- ARGV  1 how many characters the chapter's new text has, or "" where the text stays   2 most characters of a project
--       3.. fields of the chapter: name, value, …
-- Returns "ok", "gone", "busy" where the manuscript is being parsed, or "full".

local project, chapter, made, open = unpack(KEYS)
local had = redis.call('HGET', chapter, 'characters')
if not had or redis.call('EXISTS', project) == 0 then
  return 'gone'
end
if ARGV[1] ~= '' then
  local parsing = redis.call('HGET', made, 'manuscript')
  if parsing and redis.call('ZSCORE', open, parsing) then
    -- Its end writes how many characters there are in all.
    return 'busy'
  end
  local more = tonumber(ARGV[1]) - tonumber(had)
  local total = tonumber(redis.call('HGET', project, 'characters') or 0)
  if more > 0 and total + more > tonumber(ARGV[2]) then
    return 'full'
  end
  redis.call('HINCRBY', project, 'characters', more)
end
redis.call('HSET', chapter, unpack(ARGV, 3))
return 'ok'
