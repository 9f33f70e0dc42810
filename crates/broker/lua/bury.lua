-- PURPOSE: removes dead jobs that are past their retention.
-- PRECONDITION: each job is still dead and that old; it may have been retried, and have died again, since somebody looked.
-- KEYS: 1 dead, 2 jobs, 3 counts.
-- ARGV: 1 override, 2 retention; then for each job its id and the name of its queue
--   ('' if its record is gone or says none).
-- RETURNS: {done, how many were removed}.
local dead = KEYS[1]
local jobs = KEYS[2]
local counts = KEYS[3]
local override = ARGV[1]
local retention = tonumber(ARGV[2])

redis.call('HLEN', jobs)
redis.call('HLEN', counts)
local before = clock(override) - retention
local buried = 0
for at = 3, #ARGV, 2 do
  local id, queue = ARGV[at], ARGV[at + 1]
  local since = tonumber(redis.call('ZSCORE', dead, id) or '')
  if since and since < before then
    redis.call('ZREM', dead, id)
    redis.call('HDEL', jobs, id)
    if queue ~= '' then
      redis.call('HINCRBY', counts, 'dead:' .. queue, -1)
    end
    buried = buried + 1
  end
end
return {'done', whole(buried)}
