-- PURPOSE: registers a worker under a new incarnation, in its first generation.
-- PRECONDITION: the incarnation was never registered; a repeat is refused, because the first may have been condemned.
-- KEYS: 1 worker, 2 workers, 3 leases, 4 lost, 5 meta.
-- ARGV: 1 override, 2 incarnation, 3 ttl; then fields and values of the registration.
-- RETURNS: {done, life of the store} or {again}. The first to register in an empty store names its life.
local worker = KEYS[1]
local workers = KEYS[2]
local leases = KEYS[3]
local lost = KEYS[4]
local meta = KEYS[5]
local override = ARGV[1]
local incarnation = ARGV[2]
local ttl = tonumber(ARGV[3])

admit(leases)
local now = clock(override)
if redis.call('EXISTS', worker) == 1 or redis.call('ZSCORE', lost, incarnation) then
  return {'again'}
end
redis.call('ZCARD', workers)
redis.call('HLEN', meta)
redis.call('HSET', worker, 'generation', '1', 'expires', whole(now + ttl), unpack(ARGV, 4))
redis.call('PEXPIRE', worker, whole(ttl))
redis.call('ZADD', workers, whole(now + ttl), incarnation)
redis.call('HSETNX', meta, 'format', '1')
redis.call('HSETNX', meta, 'life', incarnation)
return {'done', redis.call('HGET', meta, 'life')}
