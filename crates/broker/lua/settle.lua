-- PURPOSE: ends deliveries: state, result and the removal of the record are one commit.
-- PRECONDITION: the session is the newest of its worker, or the holder is condemned (generation ''); and for each job
--   the holder holds it under the token, else nothing happens to it.
-- KEYS: 1 worker, 2 running, 3 leases, 4 jobs, 5 scheduled, 6 counts; then those of the settlements, see lib/settle.lua.
-- ARGV: 1 override, 2 incarnation, 3 generation; then those of the settlements.
-- RETURNS: {done, letters}, D (done), N (not held) or R (revoked, and still held) for each job, or '' if all were done; or {session-lost}.
local worker = KEYS[1]
local running = KEYS[2]
local leases = KEYS[3]
local jobs = KEYS[4]
local scheduled = KEYS[5]
local counts = KEYS[6]
local override = ARGV[1]
local incarnation = ARGV[2]
local generation = ARGV[3]

admit(leases)
local now = clock(override)
local batch = read_settlements(7, 4)
local allowed
if generation == '' then
  allowed = redis.call('ZSCORE', batch.lost, incarnation)
else
  allowed = is_registered(worker, generation, now)
end
if not allowed then
  return {'session-lost'}
end
redis.call('HLEN', jobs)
redis.call('HLEN', counts)
next_due(scheduled)
check_settlements(batch)
local letters = settle_jobs(batch, running, jobs, scheduled, counts, now)
if not holds_jobs(running) then
  redis.call('DEL', running)
end
finish_ends(batch.kept_ends, batch.channel, now)
return {'done', letters}
