-- PURPOSE: counts what is ready in a queue and finds since when; writes nothing. It looks at the front of the lists only.
-- PRECONDITION: none.
-- KEYS: 1 jobs, 2 queues, 3 counts; then the lists of the queue, see lib/queue.lua.
-- ARGV: 1 name, 2 max_looks.
-- RETURNS: {done, how many are ready, the 6 bytes since when the oldest is or ''}.
local jobs = KEYS[1]
local queues = KEYS[2]
local counts = KEYS[3]
local name = ARGV[1]
local max_looks = tonumber(ARGV[2])
local lists = lists_of(4, 1)

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

local looked_at = {KEYS[lists + SUSPECTS]}
for _, level in ipairs(levels_of(redis.call('HGET', queues, name))) do
  looked_at[#looked_at + 1] = KEYS[lists + 1 + level]
end
local oldest
local ready = -tonumber(redis.call('HGET', counts, 'gone:' .. name) or '0')
for _, list in ipairs(looked_at) do
  ready = ready + redis.call('LLEN', list)
  for _, id in ipairs(redis.call('LRANGE', list, 0, max_looks - 1)) do
    local record = redis.call('HGET', jobs, id)
    if record and is_readable(record) and string.byte(record, 14) == QUEUED then
      local since = string.sub(record, 7, 12)
      if not oldest or is_before(since, oldest) then
        oldest = since
      end
    end
  end
end
return {'done', whole(math.max(ready, 0)), oldest or ''}
