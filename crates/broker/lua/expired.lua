-- PURPOSE: shows the leases that have ended, the earliest first; writes nothing.
-- PRECONDITION: none.
-- KEYS: 1 leases, 2 scheduled.
-- ARGV: 1 override, 2 max.
-- RETURNS: {done, now, end of the earliest lease that holds or '', next due or '', incarnations}.
local leases = KEYS[1]
local scheduled = KEYS[2]
local override = ARGV[1]
local max = ARGV[2]

local now = clock(override)
local ended = redis.call('ZRANGEBYSCORE', leases, '-inf', whole(now), 'LIMIT', 0, max)
local holding = redis.call('ZRANGEBYSCORE', leases, '(' .. whole(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return {'done', whole(now), or_none(tonumber(holding[2])), or_none(next_due(scheduled)), ended}
