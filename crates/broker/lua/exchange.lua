-- PURPOSE: ends deliveries and hands out jobs, both or neither: what a busy worker calls all the time.
-- PRECONDITION: the session is the newest of its worker. If not, nothing happens, and the wake tokens are passed on.
-- KEYS: 1 worker, 2 running, 3 leases, 4 jobs, 5 scheduled, 6 counts; then those of the request, see lib/fetch.lua; then
--   those of the settlements, see lib/settle.lua.
-- ARGV: 1 override, 2 incarnation, 3 generation; then those of the request; then those of the settlements.
-- RETURNS: {done, letters, now, next due or '', handed}, as settle and fetch answer them; or {session-lost}.
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
local batch = read_settlements(request.next_key, request.next_arg)
if not is_registered(worker, generation, now) then
  pass_on(request)
  return {'session-lost'}
end
check_settlements(batch)
check_request(request, running, jobs, counts)
-- What the second half reads first must not fail after the first half has written.
next_due(scheduled)
for _, queue in ipairs(request.open) do
  has_ready(queue)
end
-- What begins in these lists is handed out here, but not what uses a priority of its queue for the first time; what is left of it wakes others then.
local caller = {quiet = {}, known = {}}
for _, queue in ipairs(request.open) do
  caller.known[queue.name] = queue.known
  for _, list in ipairs(queue.ready) do
    caller.quiet[list] = true
  end
end
local letters = settle_jobs(batch, running, jobs, scheduled, counts, now, caller)
if batch.stirred then
  look_at_queues(request)
end
-- After the settlements: one of them may be a retry that is due before all others.
local due = next_due(scheduled)
local handed = hand_out(request, running, jobs, counts, leases, incarnation, now, micros)
if not holds_jobs(running) then
  redis.call('DEL', running)
end
finish_ends(batch.kept_ends, batch.channel, now)
return {'done', letters, whole(now), or_none(due), handed}
