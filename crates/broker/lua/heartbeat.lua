-- PURPOSE: renews a registration, and the lease if the worker holds jobs; ends the lease if it holds none.
-- PRECONDITION: the worker is registered; its generation does not matter.
-- KEYS: 1 worker, 2 running, 3 leases, 4 workers, 5 meta, 6 scheduled, 7 revoked.
-- ARGV: 1 override, 2 incarnation, 3 ttl, 4 lease.
-- RETURNS: {done, now, newest token, next due or '', held, revoked}, held being id, token, id, token, and revoked the ids among them
--   that somebody has revoked; or {session-lost}.
local worker = KEYS[1]
local running = KEYS[2]
local leases = KEYS[3]
local workers = KEYS[4]
local meta = KEYS[5]
local scheduled = KEYS[6]
local revoked = KEYS[7]
local override = ARGV[1]
local incarnation = ARGV[2]
local ttl = tonumber(ARGV[3])
local lease = tonumber(ARGV[4])

admit(leases)
local now = clock(override)
if not is_registered(worker, '', now) then
  return {'session-lost'}
end
local held = held_in(running)
local newest = redis.call('HGET', meta, 'fence') or '0'
local due = next_due(scheduled)
local stopped = {}
if #held > 0 and redis.call('HLEN', revoked) > 0 then
  for at = 1, #held, 2 do
    if redis.call('HEXISTS', revoked, held[at]) == 1 then
      stopped[#stopped + 1] = held[at]
    end
  end
end
redis.call('ZADD', workers, whole(now + ttl), incarnation)
redis.call('HSET', worker, 'expires', whole(now + ttl))
redis.call('PEXPIRE', worker, whole(ttl))
if #held > 0 then
  redis.call('ZADD', leases, whole(now + lease), incarnation)
else
  redis.call('ZREM', leases, incarnation)
end
return {'done', whole(now), newest, or_none(due), held, stopped}
