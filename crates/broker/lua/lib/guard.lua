-- What stands before the first write of a worker's script.

-- A removing command that removes nothing. Redis at maxmemory refuses a script whose first write adds something, and
-- lets the whole script pass if its first write is one like this: work in flight must end even when the store is full.
local function admit(leases)
  redis.call('ZREM', leases, '')
end

-- Whether the worker is registered, and `generation` the newest of its connections ('' asks for no generation).
local function is_registered(worker, generation, now)
  local known = redis.call('HMGET', worker, 'generation', 'expires')
  if not known[1] or tonumber(known[2]) <= now then
    return false
  end
  return generation == '' or known[1] == generation
end
