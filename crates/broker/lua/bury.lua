-- PURPOSE: removes dead jobs: those that are past their retention, or those that somebody named.
-- PRECONDITION: each job is still dead, and its time is over if that is asked for; it may have been retried, and have died again,
--   since somebody looked.
-- KEYS: 1 dead, 2 jobs, 3 counts, 4 burials.
-- ARGV: 1 override, 2 due_only, which is yes or no; then for each job its id and the name of its queue
--   ('' if its record is gone or says none).
-- RETURNS: {done, letters}, D (removed) or N for each job.
local dead = KEYS[1]
local jobs = KEYS[2]
local counts = KEYS[3]
local burials = KEYS[4]
local override = ARGV[1]
local due_only = ARGV[2]

redis.call('HLEN', jobs)
redis.call('HLEN', counts)
redis.call('ZCARD', burials)
local now = clock(override)
local letters = {}
for at = 3, #ARGV, 2 do
  local id, queue = ARGV[at], ARGV[at + 1]
  local letter = 'N'
  local due = tonumber(redis.call('ZSCORE', burials, id) or '0')
  if redis.call('ZSCORE', dead, id) and (due_only == 'no' or due <= now) then
    redis.call('ZREM', dead, id)
    redis.call('HDEL', jobs, id)
    if queue ~= '' then
      redis.call('HINCRBY', counts, 'dead:' .. queue, -1)
    end
    letter = 'D'
  end
  if due <= now or letter == 'D' then
    redis.call('ZREM', burials, id)
  end
  letters[#letters + 1] = letter
end
return {'done', table.concat(letters)}
