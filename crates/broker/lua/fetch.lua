-- PURPOSE: hands out ready jobs, or one suspect alone, under one new token, and begins or renews the lease.
-- PRECONDITION: the session is the newest of its worker. If not, nothing is taken, and the wake tokens are passed on.
-- KEYS: 1 worker, 2 running, 3 leases, 4 jobs, 5 scheduled, 6 counts; then those of the request, see lib/fetch.lua.
-- ARGV: 1 override, 2 incarnation, 3 generation; then those of the request.
-- RETURNS: {done, now, next due or '', handed}, handed being {token or '', taken, unreadable, whether more is ready (0 or
--   1), whether suspects wait (0 or 1)}, paused queues aside, taken being id, record, id, record; or {session-lost}.
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
local now, micros = clock(override)
local request = read_request()
if not is_registered(worker, generation, now) then
  pass_on(request)
  return {'session-lost'}
end
check_request(request, running, jobs, counts)
local due = next_due(scheduled)
local handed = hand_out(request, running, jobs, counts, leases, incarnation, now, micros)
return {'done', whole(now), or_none(due), handed}
