-- PURPOSE: shows the leases that have ended, the earliest first, and who is still to be drained; wakes for work that nobody
--   was told of, because its token went down with a worker.
-- PRECONDITION: none.
-- KEYS: 1 leases, 2 scheduled, 3 lost, 4 queues, 5 events; then for each queue its lists, see lib/queue.lua.
-- ARGV: 1 override, 2 max; then the names of the queues.
-- RETURNS: {done, now, end of the earliest lease that holds or '', next due or '', incarnations, incarnations to drain, whether
--   something is ready in an open queue, suspects aside (0 or 1), whether an event of a workflow is due}.
local leases = KEYS[1]
local scheduled = KEYS[2]
local lost = KEYS[3]
local queues = KEYS[4]
local events = KEYS[5]
local override = ARGV[1]
local max = ARGV[2]

admit(leases)
local now = clock(override)
local runnable = '0'
for queue = 1, #ARGV - 2 do
  local lists, value = lists_of(6, queue), redis.call('HGET', queues, ARGV[2 + queue])
  local ready = 0
  for _, level in ipairs(levels_of(value)) do
    ready = ready + redis.call('LLEN', KEYS[lists + 1 + level])
  end
  if ready > 0 and not is_paused(value) then
    runnable = '1'
  end
  if ready + redis.call('LLEN', KEYS[lists + SUSPECTS]) > 0 and not is_paused(value) then
    wake(KEYS[lists + WAKE])
  end
end
local due_event = redis.call('ZRANGEBYSCORE', events, '-inf', whole(now), 'LIMIT', 0, 1)[1]
local ended = redis.call('ZRANGEBYSCORE', leases, '-inf', whole(now), 'LIMIT', 0, max)
local holding = redis.call('ZRANGEBYSCORE', leases, '(' .. whole(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
local undrained = redis.call('ZRANGE', lost, 0, max - 1)
return {'done', whole(now), or_none(tonumber(holding[2])), or_none(next_due(scheduled)), ended, undrained, runnable, due_event and '1' or '0'}
