-- PURPOSE: leaves a token for one process that waits for a list.
-- PRECONDITION: none.
-- KEYS: 1 alarm.
-- ARGV: 1 ttl in ms, or '' for a list that stays.
-- RETURNS: {done}.
local alarm = KEYS[1]
local ttl = ARGV[1]

redis.call('LREM', alarm, 1, '')
wake(alarm)
if ttl ~= '' then
  redis.call('PEXPIRE', alarm, ttl)
end
return {'done'}
