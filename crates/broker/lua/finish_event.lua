-- PURPOSE: removes an event that was taken.
-- PRECONDITION: it has not been left again since.
-- KEYS: 1 events.
-- ARGV: 1 event, 2 taken_until.
-- RETURNS: {done}.
local events = KEYS[1]
local event = ARGV[1]
local taken_until = tonumber(ARGV[2])

local score = redis.call('ZSCORE', events, event)
if score and tonumber(score) == taken_until then
  redis.call('ZREM', events, event)
end
return {'done'}
