-- PURPOSE: counts what is ready in a queue and finds since when; writes nothing. It looks at the front of the lists only.
-- PRECONDITION: none.
-- KEYS: 1 jobs, 2 ready, 3 suspects.
-- ARGV: 1 max_looks.
-- RETURNS: {done, how many are ready, the 6 bytes since when the oldest is or ''}.
local jobs = KEYS[1]
local ready = KEYS[2]
local suspects = KEYS[3]
local max_looks = tonumber(ARGV[1])

-- Instants have their highest byte first, so they compare as bytes; '<' would ask the locale.
local function is_before(left, right)
  for at = 1, 6 do
    local a, b = string.byte(left, at), string.byte(right, at)
    if a ~= b then
      return a < b
    end
  end
  return false
end

local oldest
for _, list in ipairs({ready, suspects}) do
  for _, id in ipairs(redis.call('LRANGE', list, 0, max_looks - 1)) do
    local record = redis.call('HGET', jobs, id)
    if record and is_readable(record) then
      local since = string.sub(record, 7, 12)
      if not oldest or is_before(since, oldest) then
        oldest = since
      end
    end
  end
end
return {'done', whole(redis.call('LLEN', ready) + redis.call('LLEN', suspects)), oldest or ''}
