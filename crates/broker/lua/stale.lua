-- PURPOSE: shows what a clean-up may remove: dead jobs and registrations whose time is over; writes nothing.
-- PRECONDITION: none.
-- KEYS: 1 burials, 2 workers, 3 jobs.
-- ARGV: 1 override, 2 max_jobs, 3 max_bytes.
-- RETURNS: {done, found, incarnations}, found being id, record or '' for each dead job.
local burials = KEYS[1]
local workers = KEYS[2]
local jobs = KEYS[3]
local override = ARGV[1]
local max_jobs = tonumber(ARGV[2])
local max_bytes = tonumber(ARGV[3])

local now = clock(override)
local found, bytes = {}, 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', burials, '-inf', whole(now), 'LIMIT', 0, max_jobs)) do
  if bytes >= max_bytes then
    break
  end
  local record = redis.call('HGET', jobs, id) or ''
  bytes = bytes + #record
  found[#found + 1] = id
  found[#found + 1] = record
end
return {'done', found, redis.call('ZRANGEBYSCORE', workers, '-inf', whole(now), 'LIMIT', 0, max_jobs)}
