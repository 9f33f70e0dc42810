-- PURPOSE: shows what a clean-up may remove: old dead jobs and registrations that have expired; writes nothing.
-- PRECONDITION: none.
-- KEYS: 1 dead, 2 workers, 3 jobs.
-- ARGV: 1 override, 2 retention, 3 max_jobs, 4 max_bytes.
-- RETURNS: {done, found, incarnations}, found being id, record or '' for each dead job.
local dead = KEYS[1]
local workers = KEYS[2]
local jobs = KEYS[3]
local override = ARGV[1]
local retention = tonumber(ARGV[2])
local max_jobs = tonumber(ARGV[3])
local max_bytes = tonumber(ARGV[4])

local now = clock(override)
local found, bytes = {}, 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', dead, '-inf', '(' .. whole(now - retention), 'LIMIT', 0, max_jobs)) do
  if bytes >= max_bytes then
    break
  end
  local record = redis.call('HGET', jobs, id) or ''
  bytes = bytes + #record
  found[#found + 1] = id
  found[#found + 1] = record
end
return {'done', found, redis.call('ZRANGEBYSCORE', workers, '-inf', whole(now), 'LIMIT', 0, max_jobs)}
