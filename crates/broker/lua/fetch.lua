-- PURPOSE: hands out ready jobs, or one suspect alone, under one new token, and begins or renews the lease.
-- PRECONDITION: the session is the newest of its worker. If not, nothing is taken, and the wake tokens are passed on.
-- KEYS: 1 worker, 2 running, 3 leases, 4 meta, 5 jobs, 6 queues, 7 scheduled, 8 unreadable, 9 counts; then for each
--   queue its ready, suspects and wake lists.
-- ARGV: 1 override, 2 incarnation, 3 generation, 4 lease, 5 max_jobs, 6 max_bytes, 7 holds_nothing; then the names of
--   the queues, the first one first.
-- RETURNS: {done, now, token or '', next due or '', suspects in a queue that is not paused (0 or 1), taken, unreadable}, taken being id, record,
--   id, record; or {session-lost}.
local worker = KEYS[1]
local running = KEYS[2]
local leases = KEYS[3]
local meta = KEYS[4]
local jobs = KEYS[5]
local queues = KEYS[6]
local scheduled = KEYS[7]
local unreadable = KEYS[8]
local counts = KEYS[9]
local override = ARGV[1]
local incarnation = ARGV[2]
local generation = ARGV[3]
local lease = tonumber(ARGV[4])
local max_jobs = tonumber(ARGV[5])
local max_bytes = tonumber(ARGV[6])
local holds_nothing = ARGV[7] == '1'
local queue_count = #ARGV - 7
local CHUNK = 50
local MAX_LOOKS = 1000

admit(leases)
local now, micros = clock(override)
local paused = {}
for queue = 1, queue_count do
  paused[queue] = redis.call('HGET', queues, ARGV[7 + queue]) == '1'
end

local function list_of(queue, which)
  return KEYS[9 + 3 * (queue - 1) + which]
end

if not is_registered(worker, generation, now) then
  for queue = 1, queue_count do
    if not paused[queue] then
      wake(list_of(queue, 3))
    end
  end
  return {'session-lost'}
end

-- Wrong types fail here, before the first write.
redis.call('HLEN', running)
redis.call('HLEN', jobs)
redis.call('HLEN', counts)
redis.call('ZCARD', unreadable)
expect_lists(10, #KEYS)
local newest = tonumber(redis.call('HGET', meta, 'fence') or '0')
local due = next_due(scheduled)

local token = whole(math.max(newest + 1, micros))
local taken, odd, bytes, looks = {}, {}, 0, 0
local noted = {FILLER, FILLING}

-- Looks at a job that was popped or is about to be: it is taken, shelved or, if it waits elsewhere, left out.
-- Answers false if it must stay where it is, because the call has had enough bytes.
local function consider(id, record, queue)
  looks = looks + 1
  if not record then
    return true
  end
  if not is_readable(record) then
    odd[#odd + 1] = id
    shelve(unreadable, counts, id, ARGV[7 + queue], now)
    return true
  end
  if not is_queued(record) then
    return true
  end
  if bytes > 0 and bytes + #record > max_bytes then
    bytes = max_bytes
    return false
  end
  bytes = bytes + #record
  taken[#taken + 1] = id
  taken[#taken + 1] = record
  noted[#noted + 1] = id
  noted[#noted + 1] = token
  return true
end

-- What was popped is noted before anything else can fail.
local function note()
  if #noted > 0 and #taken > 0 then
    redis.call('HSET', running, unpack(noted))
    noted = {}
  end
end

local function take_suspect(queue)
  while #taken == 0 and looks < MAX_LOOKS do
    local id = redis.call('LPOP', list_of(queue, 2))
    if not id then
      return
    end
    consider(id, redis.call('HGET', jobs, id), queue)
    note()
  end
end

-- Answers false when the queue has no more, or the call must end.
local function take_chunk(queue)
  local room = math.min(CHUNK, max_jobs - #taken / 2)
  if room <= 0 or bytes >= max_bytes or looks >= MAX_LOOKS then
    return false
  end
  local ids = redis.call('LRANGE', list_of(queue, 1), 0, room - 1)
  if #ids == 0 then
    return false
  end
  -- Judged by the first, so that 50 big records are not read in order to hand out one.
  local size = redis.call('HSTRLEN', jobs, ids[1])
  local look_at = #ids
  if size > 0 then
    look_at = math.max(1, math.min(look_at, math.floor(max_bytes / size)))
  end
  local records = redis.call('HMGET', jobs, unpack(ids, 1, look_at))
  local used = 0
  for at = 1, look_at do
    if not consider(ids[at], records[at], queue) then
      break
    end
    used = at
  end
  redis.call('LTRIM', list_of(queue, 1), used, -1)
  note()
  return used == look_at
end

if holds_nothing and max_jobs > 0 then
  for queue = 1, queue_count do
    if not paused[queue] then
      take_suspect(queue)
    end
  end
end
if #taken == 0 then
  for queue = 1, queue_count do
    while not paused[queue] and take_chunk(queue) do
    end
  end
end
if #taken > 0 then
  redis.call('HSET', meta, 'fence', token)
  redis.call('ZADD', leases, whole(now + lease), incarnation)
end

-- A token may have been taken for this call: it is passed on if there is work for another worker. A busy worker does not
-- pass it on for suspects alone, which it may not take: it would wake itself for ever.
local suspects_waiting = '0'
for queue = 1, queue_count do
  local suspects = redis.call('LLEN', list_of(queue, 2))
  if suspects > 0 and not paused[queue] then
    suspects_waiting = '1'
  end
  local for_others = redis.call('LLEN', list_of(queue, 1)) > 0 or (holds_nothing and suspects > 0)
  if for_others and not paused[queue] then
    wake(list_of(queue, 3))
  end
end
return {'done', whole(now), #taken > 0 and token or '', or_none(due), suspects_waiting, taken, odd}
