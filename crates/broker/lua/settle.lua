-- PURPOSE: ends deliveries: state, result and the removal of the record are one commit.
-- PRECONDITION: the session is the newest of its worker, or the holder is condemned (generation ''); and for each job
--   the holder holds it under the token, else nothing happens to it.
-- KEYS: 1 worker, 2 running, 3 leases, 4 lost, 5 jobs, 6 scheduled, 7 dead, 8 counts, 9 parked; then for each queue its
--   ready, suspects and wake lists; then for each parked task its set; then the result of each end that is kept.
-- ARGV: 1 override, 2 incarnation, 3 generation, 4 channel, 5 queue_count, 6 task_count, 7 job_count; then the names of
--   the queues, the names of the tasks, the ids, the tokens, and for each job its way out:
--   finish, keep, outcome · retry, queue, delay, record · dead, queue, record, keep, outcome · requeue, queue, record ·
--   park, queue, task, record. Queue and task are places, times are in ms, a record lacks its second stamp, and an end
--   that is kept for no time has no outcome.
-- RETURNS: {done, letters}, D (done) or N (not held) for each job; or {session-lost}.
local worker = KEYS[1]
local running = KEYS[2]
local leases = KEYS[3]
local lost = KEYS[4]
local jobs = KEYS[5]
local scheduled = KEYS[6]
local dead = KEYS[7]
local counts = KEYS[8]
local parked = KEYS[9]
local override = ARGV[1]
local incarnation = ARGV[2]
local generation = ARGV[3]
local channel = ARGV[4]
local queue_count = tonumber(ARGV[5])
local task_count = tonumber(ARGV[6])
local job_count = tonumber(ARGV[7])
local first_task_key = 10 + 3 * queue_count
local next_result = first_task_key + task_count
local first_id = 8 + queue_count + task_count
local first_token = first_id + job_count
local next_value = first_token + job_count

admit(leases)
local now = clock(override)
local allowed
if generation == '' then
  allowed = redis.call('ZSCORE', lost, incarnation)
else
  allowed = is_registered(worker, generation, now)
end
if not allowed then
  return {'session-lost'}
end

-- Wrong types fail here, before the first write.
redis.call('HLEN', jobs)
if queue_count > 0 then
  redis.call('ZCARD', dead)
  redis.call('HLEN', counts)
  redis.call('SCARD', parked)
  expect_lists(10, first_task_key - 1)
  for at = first_task_key, first_task_key + task_count - 1 do
    redis.call('ZCARD', KEYS[at])
  end
end
local earliest = queue_count > 0 and next_due(scheduled) or math.huge

local tokens = {}
for first = first_id, first_token - 1, VALUES do
  local last = math.min(first + VALUES - 1, first_token - 1)
  for _, token in ipairs(redis.call('HMGET', running, unpack(ARGV, first, last))) do
    tokens[#tokens + 1] = token
  end
end

local stamped = stamp(now)
local letters, released, removed, ended, settled = {}, {}, {}, {}, {}

local function value()
  next_value = next_value + 1
  return ARGV[next_value - 1]
end

local function list_of(queue, which)
  return KEYS[9 + 3 * (queue - 1) + which]
end

local function store(id, record)
  record = string.sub(record, 1, 6) .. stamped .. string.sub(record, 7)
  redis.call('HSET', jobs, id, record)
  return record
end

local function count(state, queue)
  redis.call('HINCRBY', counts, state .. ':' .. ARGV[7 + queue], 1)
end

local function keep_end(id, held)
  local keep = value()
  if keep == '0' then
    return
  end
  local outcome = value()
  next_result = next_result + 1
  if held then
    redis.call('SET', KEYS[next_result - 1], outcome, 'PX', keep)
    ended[#ended + 1] = id
  end
end

local ways = {}

function ways.finish(id, held)
  keep_end(id, held)
  if held then
    removed[#removed + 1] = id
  end
end

function ways.retry(id, held)
  local queue, delay, record = tonumber(value()), tonumber(value()), value()
  if not held then
    return
  end
  local due = math.min(now + delay, 281474976710655)
  store(id, record)
  redis.call('ZADD', scheduled, whole(due), id)
  count('scheduled', queue)
  if due < earliest then
    earliest = due
    wake(list_of(queue, 3))
  end
end

function ways.dead(id, held)
  local queue, record = tonumber(value()), value()
  keep_end(id, held)
  if held then
    store(id, record)
    redis.call('ZADD', dead, whole(now), id)
    count('dead', queue)
  end
end

function ways.requeue(id, held)
  local queue, record = tonumber(value()), value()
  if held then
    record = store(id, record)
    if is_suspect(record) then
      -- Behind the others: one that nobody can finish must not keep them waiting.
      redis.call('RPUSH', list_of(queue, 2), id)
    else
      redis.call('LPUSH', list_of(queue, 1), id)
    end
    wake(list_of(queue, 3))
  end
end

function ways.park(id, held)
  local queue, task, record = tonumber(value()), tonumber(value()), value()
  if held then
    store(id, record)
    redis.call('ZADD', KEYS[first_task_key + task - 1], whole(now), id)
    redis.call('SADD', parked, ARGV[7 + queue_count + task])
    count('parked', queue)
  end
end

for job = 1, job_count do
  local id, token = ARGV[first_id + job - 1], ARGV[first_token + job - 1]
  local held = tokens[job] == token and not settled[id]
  ways[value()](id, held)
  letters[job] = held and 'D' or 'N'
  if held then
    settled[id] = true
    released[#released + 1] = id
  end
end
in_chunks('HDEL', jobs, removed)
if #released > 0 then
  let_go(running, released)
end
if #ended > 0 then
  -- The last command, and it may fail: a user without the right to publish costs waiting callers 5 seconds, no more.
  redis.pcall('PUBLISH', channel, table.concat(ended, ' '))
end
return {'done', table.concat(letters)}
