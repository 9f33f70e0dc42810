-- PURPOSE: shows what a clean-up may remove: dead jobs, registrations and workflows whose time is over; writes nothing.
-- PRECONDITION: none.
-- KEYS: 1 burials, 2 workers, 3 jobs, 4 untils.
-- ARGV: 1 override, 2 max_jobs, 3 max_bytes.
-- RETURNS: {done, found, incarnations, workflows}, found being id, record or '' for each dead job.
local burials = KEYS[1]
local workers = KEYS[2]
local jobs = KEYS[3]
local untils = KEYS[4]
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
local function over(key)
  return redis.call('ZRANGEBYSCORE', key, '-inf', whole(now), 'LIMIT', 0, max_jobs)
end
return {'done', found, over(workers), over(untils)}
