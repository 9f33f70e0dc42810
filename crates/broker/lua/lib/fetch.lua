-- Handing out: the body of fetch and of exchange.

-- Ids that one command takes: few enough that a big record among them costs little.
local CHUNK = 100
-- Ids looked at in one call, records gone or waiting elsewhere included.
local MAX_LOOKS = 1000

-- What a call for jobs reads of its keys and arguments.
--
-- keys: meta, queues, unreadable; then for each queue its lists, see lib/queue.lua; from KEYS[7].
-- arguments: lease, max_jobs, max_bytes, holds_nothing, lowest_first, queue_count; then the names of the queues, the first one
--   first; from ARGV[4].
local function read_request()
  local request = {
    meta = KEYS[7], queues = KEYS[8], unreadable = KEYS[9],
    lease = tonumber(ARGV[4]), max_jobs = tonumber(ARGV[5]), max_bytes = tonumber(ARGV[6]), holds_nothing = ARGV[7] == '1',
    open = {},
  }
  local lowest_first, queue_count = ARGV[8] == '1', tonumber(ARGV[9])
  request.next_key, request.next_arg = 10 + LISTS * queue_count, 10 + queue_count
  for place = 1, queue_count do
    local name, lists = ARGV[9 + place], lists_of(10, place)
    local value = redis.call('HGET', request.queues, name)
    if not is_paused(value) then
      local queue = {name = name, known = value ~= false, ready = {}, suspects = KEYS[lists + SUSPECTS], wake = KEYS[lists + WAKE]}
      for at, level in ipairs(levels_of(value, lowest_first)) do
        queue.ready[at] = KEYS[lists + 1 + level]
      end
      request.open[#request.open + 1] = queue
    end
  end
  return request
end

-- Passes on the wake-up that this call may have used: it takes nothing.
local function pass_on(request)
  for _, queue in ipairs(request.open) do
    wake(queue.wake)
  end
end

-- Whether anything is ready in a queue, suspects aside.
local function has_ready(queue)
  for _, list in ipairs(queue.ready) do
    if redis.call('LLEN', list) > 0 then
      return true
    end
  end
  return false
end

-- How many suspects each queue has, and whether a token waits for somebody.
local function look_at_queues(request)
  for _, queue in ipairs(request.open) do
    queue.alone = redis.call('LLEN', queue.suspects)
    queue.told = redis.call('LLEN', queue.wake) > 0
  end
end

-- Fails with WRONGTYPE, before anything is written, if a key is of another kind. Ready lists are read before the first write anyway.
local function check_request(request, running, jobs, counts)
  redis.call('HLEN', jobs)
  redis.call('HLEN', counts)
  redis.call('ZCARD', request.unreadable)
  request.newest = tonumber(redis.call('HGET', request.meta, 'fence') or '0')
  look_at_queues(request)
  for _, queue in ipairs(request.open) do
    if queue.alone > 0 then
      redis.call('HLEN', running)
    end
  end
end

-- Hands out jobs and answers {token or '', taken, unreadable, more, suspects}.
local function hand_out(request, running, jobs, counts, leases, incarnation, now, micros)
  local byte = string.byte
  local token = whole(math.max(request.newest + 1, micros))
  local max_jobs, max_bytes = request.max_jobs, request.max_bytes
  local taken, count, odd, bytes, looks = {}, 0, {}, 0, 0

  -- Notes jobs as held, before anything else can fail.
  local function note(noted, places)
    if places > 0 then
      if count == places / 2 then
        noted[places + 1], noted[places + 2] = FILLER, FILLING
      end
      redis.call('HSET', running, unpack(noted))
    end
  end

  -- Looks at ids in their order: a job is taken, shelved or, if it waits elsewhere, left out. Answers how many were
  -- looked at: one that does not fit any more stays where it is.
  local function consider(ids, records, look_at, queue)
    local noted, places, used = {}, 0, 0
    for at = 1, look_at do
      local id, record = ids[at], records[at]
      if record then
        local format, state = byte(record, 13, 14)
        if format ~= FORMAT or #record < SHORTEST then
          odd[#odd + 1] = id
          shelve(request.unreadable, counts, id, queue.name, now)
        elseif state == QUEUED then
          if bytes > 0 and bytes + #record > max_bytes then
            bytes = max_bytes
            break
          end
          bytes = bytes + #record
          taken[2 * count + 1], taken[2 * count + 2] = id, record
          noted[places + 1], noted[places + 2] = id, token
          count, places = count + 1, places + 2
        elseif state == REVOKED then
          -- It ended long ago; its id stood here, where nobody could take it out cheaply.
          redis.call('HDEL', jobs, id)
          redis.call('HINCRBY', counts, 'gone:' .. queue.name, -1)
        end
      end
      used = at
    end
    looks = looks + used
    note(noted, places)
    return used
  end

  local function take_suspect(queue)
    while count == 0 and queue.alone > 0 and looks < MAX_LOOKS do
      local id = redis.call('LPOP', queue.suspects)
      queue.alone = queue.alone - 1
      consider({id}, {redis.call('HGET', jobs, id)}, 1, queue)
    end
  end

  -- Answers false when the queue has no more, or the call must end.
  local function take_chunk(queue, list)
    local room = math.min(CHUNK, max_jobs - count)
    if room <= 0 or bytes >= max_bytes or looks >= MAX_LOOKS then
      return false
    end
    local ids = redis.call('LRANGE', list, 0, room - 1)
    local look_at = #ids
    if look_at == 0 then
      return false
    end
    -- Judged by the first, so that a hundred big records are not read in order to hand out one.
    if look_at > 1 then
      local size = math.max(1, redis.call('HSTRLEN', jobs, ids[1]))
      look_at = math.max(1, math.min(look_at, math.floor(max_bytes / size)))
    end
    local used = consider(ids, redis.call('HMGET', jobs, unpack(ids, 1, look_at)), look_at, queue)
    redis.call('LTRIM', list, used, -1)
    return used == look_at
  end

  if request.holds_nothing and max_jobs > 0 then
    for _, queue in ipairs(request.open) do
      take_suspect(queue)
    end
  end
  if count == 0 then
    for _, queue in ipairs(request.open) do
      for _, list in ipairs(queue.ready) do
        while take_chunk(queue, list) do
        end
      end
    end
  end
  if count > 0 then
    redis.call('HSET', request.meta, 'fence', token)
    redis.call('ZADD', leases, whole(now + request.lease), incarnation)
  end

  -- A token may have been taken for this call: it is passed on if there is work for another worker. A busy worker does not
  -- pass it on for suspects alone, which it may not take: it would wake itself for ever.
  local more, suspects = '0', '0'
  for _, queue in ipairs(request.open) do
    local ready = has_ready(queue)
    if ready then
      more = '1'
    end
    if queue.alone > 0 then
      suspects = '1'
    end
    if not queue.told and (ready or (request.holds_nothing and queue.alone > 0)) then
      redis.call('RPUSH', queue.wake, '1')
    end
  end
  return {count > 0 and token or '', taken, odd, more, suspects}
end
