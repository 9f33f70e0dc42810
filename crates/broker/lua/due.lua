-- PURPOSE: shows the jobs that are due, the earliest first; writes nothing.
-- PRECONDITION: none.
-- KEYS: 1 scheduled, 2 jobs.
-- ARGV: 1 override, 2 max_jobs, 3 max_bytes.
-- RETURNS: {done, now, next due or '', found}, found being id, record or '', id, record or ''.
local scheduled = KEYS[1]
local jobs = KEYS[2]
local override = ARGV[1]
local max_jobs = tonumber(ARGV[2])
local max_bytes = tonumber(ARGV[3])

local now = clock(override)
local due = redis.call('ZRANGEBYSCORE', scheduled, '-inf', whole(now), 'LIMIT', 0, max_jobs)
local found, bytes = {}, 0
for _, id in ipairs(due) do
  if bytes >= max_bytes then
    break
  end
  local record = redis.call('HGET', jobs, id) or ''
  bytes = bytes + #record
  found[#found + 1] = id
  found[#found + 1] = record
end
return {'done', whole(now), or_none(next_due(scheduled)), found}
