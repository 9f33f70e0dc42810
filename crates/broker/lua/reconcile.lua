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
if not is_registered(worker, '', clock(override)) then
  return {'session-lost'}
end
local held = held_in(running)
return {'done', whole(redis.call('HINCRBY', worker, 'generation', 1)), held}
