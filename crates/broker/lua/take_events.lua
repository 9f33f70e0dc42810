-- PURPOSE: takes events that are due; they are due again later, unless somebody finishes them.
-- PRECONDITION: none. Events of workflows that are gone go too.
-- KEYS: 1 events, 2 workflows.
-- ARGV: 1 override, 2 max, 3 lease.
-- RETURNS: {done, until when they are taken, events}.
local events = KEYS[1]
local workflows = KEYS[2]
local override = ARGV[1]
local max = ARGV[2]
local lease = tonumber(ARGV[3])

redis.call('ZCARD', workflows)
local now = clock(override)
local until_when = whole(math.min(now + lease, LATEST))
local taken = {}
for _, event in ipairs(redis.call('ZRANGEBYSCORE', events, '-inf', whole(now), 'LIMIT', 0, max)) do
  if redis.call('ZSCORE', workflows, string.match(event, '^%S*')) then
    redis.call('ZADD', events, until_when, event)
    taken[#taken + 1] = event
  else
    redis.call('ZREM', events, event)
  end
end
return {'done', until_when, taken}
