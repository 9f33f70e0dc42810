-- PURPOSE: accepts a numbered batch of new jobs, once, however often it arrives.
-- PRECONDITION: the number is one above the last of the lane, or equal to it (then the first answer is repeated).
-- KEYS: 1 jobs, 2 queues, 3 scheduled, 4 counts, 5 producer, 6 meta, 7 ends; then for each queue its ready and wake lists.
-- ARGV: 1 override, 2 lane, 3 number, 4 made_at, 5 lane_ttl, 6 queue_count, 7 run_count; then the names of the queues;
--   then for each run its plan and how many jobs it has; then for each job its id, and its record without stamps. A run is
--   jobs of one plan, in order; a plan is the queue's place, +delay or @due in ms, and ! for given ids.
-- RETURNS: {applied, answers} or {again, answers} or {gap}; answers has A (accepted) or I (id in use) for each job, and
--   is empty if all were accepted.
local jobs = KEYS[1]
local queues = KEYS[2]
local scheduled = KEYS[3]
local counts = KEYS[4]
local producer = KEYS[5]
local meta = KEYS[6]
local ends = KEYS[7]
local override = ARGV[1]
local lane = ARGV[2]
local number = tonumber(ARGV[3])
local made_at = tonumber(ARGV[4])
local lane_ttl = tonumber(ARGV[5])
local queue_count = tonumber(ARGV[6])
local run_count = tonumber(ARGV[7])
local first_list = 8
local first_run = 8 + queue_count
local first_job = first_run + 2 * run_count

local now = clock(override)
local kept = redis.call('HGET', producer, lane)
local last = kept and tonumber(string.match(kept, '^%d+')) or 0
if kept and number == last then
  return {'again', string.match(kept, ' (%a+)$') or ''}
end
if number ~= last + 1 or (not kept and made_at + lane_ttl <= now) then
  return {'gap'}
end

-- Wrong types fail here, before the first write: all that a lane may ever use when it begins, and later what this call uses.
-- Each look is felt by a job that comes alone. `jobs` is what is written first.
if number == 1 then
  redis.call('HLEN', counts)
  redis.call('HLEN', meta)
  redis.call('HLEN', ends)
  next_due(scheduled)
end
local known, sleepers = {}, {}
for queue = 1, queue_count do
  known[queue] = redis.call('HGET', queues, ARGV[7 + queue])
  redis.call('LLEN', KEYS[first_list + 2 * queue - 2])
  sleepers[queue] = redis.call('LLEN', KEYS[first_list + 2 * queue - 1]) == 0
end

local front = stamp(now)
front = front .. front
-- Places of the jobs whose given id is in use; how many there are.
local refused, refusals, seen = {}, 0, {}
local stored, size, due, ready, delayed = {}, 0, {}, {}, {}
local earliest, earliest_queue
for queue = 1, queue_count do
  ready[queue], delayed[queue] = {}, 0
end

local function in_use(id)
  if seen[id] or redis.call('HEXISTS', jobs, id) == 1 then
    return true
  end
  seen[id] = true
  return is_kept(ends, id, now)
end

-- Adds a run of jobs from ARGV[first] to ARGV[last] that are ready.
local function add_ready(first, last, list, state)
  local length = #list
  for at = first, last, 2 do
    if not refused[at] then
      local id, record = ARGV[at], ARGV[at + 1]
      if state then
        record = string.sub(record, 1, 1) .. state .. string.sub(record, 3)
      end
      length = length + 1
      list[length] = id
      stored[size + 1], stored[size + 2] = id, front .. record
      size = size + 2
    end
  end
end

-- Adds a run of jobs that wait until `due_at`.
local function add_due(first, last, queue, due_at)
  local score = whole(due_at)
  if not earliest then
    redis.call('HLEN', counts)
    earliest = next_due(scheduled) or LATEST + 1
  end
  for at = first, last, 2 do
    if not refused[at] then
      due[#due + 1] = score
      due[#due + 1] = ARGV[at]
      stored[size + 1], stored[size + 2] = ARGV[at], front .. ARGV[at + 1]
      size = size + 2
      delayed[queue] = delayed[queue] + 1
      if due_at < earliest then
        earliest, earliest_queue = due_at, queue
      end
    end
  end
end

local first = first_job
for run = first_run, first_job - 1, 2 do
  local queue, sign, millis, given = string.match(ARGV[run], '^(%d+)([+@]?)(%d*)(!?)$')
  queue = tonumber(queue)
  local last = first + 2 * tonumber(ARGV[run + 1]) - 1
  if given == '!' then
    for at = first, last, 2 do
      if in_use(ARGV[at]) then
        refused[at] = true
        refusals = refusals + 1
      end
    end
  end
  local due_at = now
  if sign ~= '' then
    due_at = math.min(tonumber(millis) + (sign == '+' and now or 0), LATEST)
  end
  if due_at > now then
    add_due(first, last, queue, due_at)
  else
    add_ready(first, last, ready[queue], sign ~= '' and 'Q')
  end
  first = last + 1
end

if size == 0 then
  -- Nothing is added, so this must pass when the store is full: it is how a producer fills a refused number.
  redis.call('HDEL', producer, '')
end
in_chunks('HSET', jobs, stored)
in_chunks('ZADD', scheduled, due)
for queue = 1, queue_count do
  local name, list = ARGV[7 + queue], ready[queue]
  if not known[queue] and (#list > 0 or delayed[queue] > 0) then
    redis.call('HSETNX', queues, name, '0')
  end
  if delayed[queue] > 0 then
    redis.call('HINCRBY', counts, 'scheduled:' .. name, delayed[queue])
  end
  if #list > 0 then
    in_chunks('RPUSH', KEYS[first_list + 2 * queue - 2], list)
  end
  if sleepers[queue] and (#list > 0 or queue == earliest_queue) then
    redis.call('RPUSH', KEYS[first_list + 2 * queue - 1], '1')
  end
end
if number == 1 then
  redis.call('HSETNX', meta, 'format', '1')
end

local answers = {}
for at = first_job, refusals > 0 and #ARGV or 0, 2 do
  answers[#answers + 1] = refused[at] and 'I' or 'A'
end
local answer = table.concat(answers)
redis.call('HSET', producer, lane, whole(number) .. (refusals > 0 and ' ' .. answer or ''))
redis.call('PEXPIRE', producer, whole(lane_ttl))
return {'applied', answer}
