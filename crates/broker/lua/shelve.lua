-- PURPOSE: keeps records aside, with their bytes unchanged, that were handed out and cannot be decoded. What was revoked meanwhile ends.
-- PRECONDITION: the holder holds the job under the token; else nothing happens to it.
-- KEYS: 1 running, 2 leases, 3 unreadable, 4 counts, 5 revoked, 6 jobs.
-- ARGV: 1 override; then for each job its id, its token and the name of its queue.
-- RETURNS: {done}.
local running = KEYS[1]
local leases = KEYS[2]
local unreadable = KEYS[3]
local counts = KEYS[4]
local revoked = KEYS[5]
local jobs = KEYS[6]
local override = ARGV[1]

admit(leases)
redis.call('ZCARD', unreadable)
redis.call('HLEN', counts)
redis.call('HLEN', revoked)
redis.call('HLEN', jobs)
local now = clock(override)
local gone = {}
for at = 2, #ARGV, 3 do
  local id, token, queue = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if redis.call('HGET', running, id) == token then
    if redis.call('HDEL', revoked, id) == 1 then
      redis.call('HDEL', jobs, id)
    else
      shelve(unreadable, counts, id, queue, now)
    end
    gone[#gone + 1] = id
  end
end
let_go(running, gone)
return {'done'}
