-- PURPOSE: leaves a token for one process that waits for a list.
-- PRECONDITION: none.
-- KEYS: 1 alarm.
-- ARGV: none.
-- RETURNS: {done}.
local alarm = KEYS[1]

redis.call('LREM', alarm, 1, '')
wake(alarm)
return {'done'}
