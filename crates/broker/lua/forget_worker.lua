-- PURPOSE: forgets the registration of a worker that vanished without holding a job.
-- PRECONDITION: the registration has expired and there is no lease; a worker with a lease is condemned instead.
-- KEYS: 1 workers, 2 leases, 3 worker, 4 control.
-- ARGV: 1 override, 2 incarnation.
-- RETURNS: {done} or {not-held}.
local workers = KEYS[1]
local leases = KEYS[2]
local worker = KEYS[3]
local control = KEYS[4]
local override = ARGV[1]
local incarnation = ARGV[2]

local expires = tonumber(redis.call('ZSCORE', workers, incarnation) or '')
if not expires or expires > clock(override) or redis.call('ZSCORE', leases, incarnation) then
  return {'not-held'}
end
redis.call('ZREM', workers, incarnation)
redis.call('DEL', worker, control)
return {'done'}
