-- PURPOSE: begins a workflow that was stored in several calls.
-- PRECONDITION: it is there and has not begun; else nothing happens.
-- KEYS: 1 workflow, 2 untils, 3 events.
-- ARGV: 1 override, 2 id.
-- RETURNS: {done} or {unknown}.
local workflow = KEYS[1]
local untils = KEYS[2]
local events = KEYS[3]
local override = ARGV[1]
local id = ARGV[2]
local ROOT = 4294967295

check_workflows({untils = untils, events = events}, 1, 1)
local state = redis.call('HMGET', workflow, 'begun', 'ended')
if not state[1] then
  return {'unknown'}
end
if state[1] == '0' then
  redis.call('HSET', workflow, 'begun', '1')
  if not state[2] then
    redis.call('ZREM', untils, id)
  end
  leave_event(events, id, ROOT, clock(override))
end
return {'done'}
