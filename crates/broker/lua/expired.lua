-- PURPOSE: shows the leases that have ended, the earliest first, and who is still to be drained; wakes for work that nobody
--   was told of, because its token went down with a worker.
-- PRECONDITION: none.
-- KEYS: 1 leases, 2 scheduled, 3 lost, 4 queues; then for each queue its ready, suspects and wake lists.
-- ARGV: 1 override, 2 max; then the names of the queues.
-- RETURNS: {done, now, end of the earliest lease that holds or '', next due or '', incarnations, incarnations to drain}.
local leases = KEYS[1]
local scheduled = KEYS[2]
local lost = KEYS[3]
local queues = KEYS[4]
local override = ARGV[1]
local max = ARGV[2]

admit(leases)
local now = clock(override)
for queue = 1, #ARGV - 2 do
  local list = 2 + 3 * queue
  local waiting = redis.call('LLEN', KEYS[list]) + redis.call('LLEN', KEYS[list + 1])
  if waiting > 0 and redis.call('HGET', queues, ARGV[2 + queue]) ~= '1' then
    wake(KEYS[list + 2])
  end
end
local ended = redis.call('ZRANGEBYSCORE', leases, '-inf', whole(now), 'LIMIT', 0, max)
local holding = redis.call('ZRANGEBYSCORE', leases, '(' .. whole(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
local undrained = redis.call('ZRANGE', lost, 0, max - 1)
return {'done', whole(now), or_none(tonumber(holding[2])), or_none(next_due(scheduled)), ended, undrained}
