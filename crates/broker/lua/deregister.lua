-- PURPOSE: ends a registration. Held jobs stay until their lease has ended; without any the lease goes too.
-- PRECONDITION: the session is the newest of its worker.
-- KEYS: 1 worker, 2 running, 3 leases, 4 workers, 5 control.
-- ARGV: 1 override, 2 incarnation, 3 generation.
-- RETURNS: {done} or {session-lost}.
local worker = KEYS[1]
local running = KEYS[2]
local leases = KEYS[3]
local workers = KEYS[4]
local control = KEYS[5]
local override = ARGV[1]
local incarnation = ARGV[2]
local generation = ARGV[3]

admit(leases)
if not is_registered(worker, generation, clock(override)) then
  return {'session-lost'}
end
redis.call('ZREM', workers, incarnation)
redis.call('DEL', worker, control)
if not holds_jobs(running) then
  redis.call('ZREM', leases, incarnation)
end
return {'done'}
