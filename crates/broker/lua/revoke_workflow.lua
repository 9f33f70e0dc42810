-- PURPOSE: halts a workflow for good.
-- PRECONDITION: it has not succeeded, and was not revoked before.
-- KEYS: 1 workflow, 2 untils, 3 events, 4 ends.
-- ARGV: 1 override, 2 id, 3 by.
-- RETURNS: {done}, {refused} or {unknown}.
local workflow = KEYS[1]
local untils = KEYS[2]
local events = KEYS[3]
local ends = KEYS[4]
local override = ARGV[1]
local id = ARGV[2]
local by = ARGV[3]

check_workflows({untils = untils, events = events}, 1, 1)
redis.call('HLEN', ends)
local state = redis.call('HMGET', workflow, 'made', 'by', 'ended', 'halted')
if not state[1] then
  return {'unknown'}
elseif state[2] or (state[3] and not state[4]) then
  return {'refused'}
end
redis.call('HSET', workflow, 'by', by, 'halted', '1')
redis.call('HDEL', workflow, 'ended')
redis.call('ZREM', untils, id)
redis.call('HDEL', ends, id)
leave_event(events, id, REVIEW, clock(override))
return {'done'}
