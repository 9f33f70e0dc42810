-- PURPOSE: opens a new generation and says what the worker holds, in one step.
-- PRECONDITION: the worker is registered; its generation does not matter.
-- KEYS: 1 worker, 2 running, 3 leases.
-- ARGV: 1 override.
-- RETURNS: {done, generation, held}, held being id, token, id, token; or {session-lost}.
local worker = KEYS[1]
local running = KEYS[2]
local leases = KEYS[3]
local override = ARGV[1]

admit(leases)
local now, micros = clock(override)
if not is_registered(worker, '', now) then
  return {'session-lost'}
end
local held = held_in(running)
-- Not a count: a store that was restored must not open a generation again whose answers may still be on their way.
local generation = whole(math.max(tonumber(redis.call('HGET', worker, 'generation')) + 1, micros))
redis.call('HSET', worker, 'generation', generation)
return {'done', generation, held}
