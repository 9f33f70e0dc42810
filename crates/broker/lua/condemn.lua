-- PURPOSE: takes lease and registration from one incarnation and notes it as lost.
-- PRECONDITION: its lease has ended; it may have been renewed since somebody looked.
-- KEYS: 1 leases, 2 lost, 3 workers, 4 worker.
-- ARGV: 1 override, 2 incarnation.
-- RETURNS: {done} or {not-held}, if it lives or somebody else condemned it.
local leases = KEYS[1]
local lost = KEYS[2]
local workers = KEYS[3]
local worker = KEYS[4]
local override = ARGV[1]
local incarnation = ARGV[2]

admit(leases)
local now = clock(override)
local ends = tonumber(redis.call('ZSCORE', leases, incarnation) or '')
if not ends or ends > now then
  return {'not-held'}
end
redis.call('ZCARD', lost)
redis.call('ZCARD', workers)
redis.call('ZREM', leases, incarnation)
redis.call('ZADD', lost, whole(now), incarnation)
redis.call('ZREM', workers, incarnation)
redis.call('DEL', worker)
return {'done'}
