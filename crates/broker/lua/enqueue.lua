-- PURPOSE: accepts a numbered batch of new jobs, once, however often it arrives.
-- PRECONDITION: the number is one above the last of the lane, or equal to it (then the first answer is repeated).
-- KEYS: 1 jobs, 2 queues, 3 scheduled, 4 counts, 5 producer, 6 meta, 7 ends, 8 unique; then for each queue its wake list; then for each
--   list its ready list.
-- ARGV: 1 override, 2 lane, 3 number, 4 made_at, 5 lane_ttl, 6 queue_count, 7 list_count, 8 run_count; then the names of the
--   queues; then for each list the place of its queue, a colon and its priority; then for each run its plan and how many jobs it
--   has; then for each job its id, its record without stamps and, if its plan says so, its unique key. A run is jobs of one plan, in
--   order; a plan is the places of queue and list with a dot between, +delay or @due in ms, ! for given ids, and ~ for unique keys.
-- RETURNS: {applied, answers, holders} or {again, answers, holders} or {gap}; answers has A (accepted), I (id in use) or U (unique
--   key in use) for each job, and is empty if all were accepted; holders are the ids of those that have the unique keys, with spaces.
local jobs = KEYS[1]
local queues = KEYS[2]
local scheduled = KEYS[3]
local counts = KEYS[4]
local producer = KEYS[5]
local meta = KEYS[6]
local ends = KEYS[7]
local unique = KEYS[8]
local override = ARGV[1]
local lane = ARGV[2]
local number = tonumber(ARGV[3])
local made_at = tonumber(ARGV[4])
local lane_ttl = tonumber(ARGV[5])
local queue_count = tonumber(ARGV[6])
local list_count = tonumber(ARGV[7])
local run_count = tonumber(ARGV[8])
local first_wake = 9
local first_ready = first_wake + queue_count
local first_list = 9 + queue_count
local first_run = first_list + list_count
local first_job = first_run + 2 * run_count

local now = clock(override)
local kept = redis.call('HGET', producer, lane)
local last = kept and tonumber(string.match(kept, '^%d+')) or 0
if kept and number == last then
  local answers, holders = string.match(kept, '^%d+ (%a+) ?(.*)$')
  return {'again', answers or '', holders or ''}
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
  redis.call('HLEN', unique)
  next_due(scheduled)
end
local known, sleepers = {}, {}
for queue = 1, queue_count do
  known[queue] = redis.call('HGET', queues, ARGV[8 + queue])
  sleepers[queue] = redis.call('LLEN', KEYS[first_wake + queue - 1]) == 0
end

local front = stamp(now)
front = front .. front
-- Letters of the jobs that are refused, by their places; how many there are, and the ids of those that have the unique keys.
local refused, refusals, seen, holders = {}, 0, {}, {}
local stored, size, due, ready, delayed, keys, claimed = {}, 0, {}, {}, {}, {}, {}
local earliest, earliest_queue
local strides = {}
for queue = 1, queue_count do
  delayed[queue] = 0
end
for list = 1, list_count do
  ready[list] = {}
  redis.call('LLEN', KEYS[first_ready + list - 1])
end

-- Refuses what cannot be accepted of a run, and claims unique keys; of two jobs with one id or key the first gets it.
local function check(first, last, stride, given)
  for at = first, last, stride do
    local id, key = ARGV[at], stride == 3 and ARGV[at + 2]
    local holder = key and (claimed[key] or holder_of_key(unique, jobs, key))
    if given and (seen[id] or redis.call('HEXISTS', jobs, id) == 1 or is_kept(ends, id, now)) then
      refused[at] = 'I'
    elseif holder then
      refused[at] = 'U'
      holders[#holders + 1] = holder
    else
      seen[id] = true
      if key then
        claimed[key] = id
        keys[#keys + 1] = key
        keys[#keys + 1] = id
      end
    end
    refusals = refusals + (refused[at] and 1 or 0)
  end
end

-- Adds a run of jobs from ARGV[first] to ARGV[last] that are ready.
local function add_ready(first, last, stride, list, state)
  local length = #list
  for at = first, last, stride do
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
local function add_due(first, last, stride, queue, due_at)
  local score = whole(due_at)
  if not earliest then
    redis.call('HLEN', counts)
    earliest = next_due(scheduled) or LATEST + 1
  end
  for at = first, last, stride do
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
  local queue, list, sign, millis, given, keyed = string.match(ARGV[run], '^(%d+)%.(%d+)([+@]?)(%d*)(!?)(~?)$')
  queue, list = tonumber(queue), tonumber(list)
  local stride = keyed == '~' and 3 or 2
  local last = first + stride * tonumber(ARGV[run + 1]) - 1
  if given == '!' or stride == 3 then
    check(first, last, stride, given == '!')
  end
  local due_at = now
  if sign ~= '' then
    due_at = math.min(tonumber(millis) + (sign == '+' and now or 0), LATEST)
  end
  if due_at > now then
    add_due(first, last, stride, queue, due_at)
  else
    add_ready(first, last, stride, ready[list], sign ~= '' and 'Q')
  end
  strides[#strides + 1] = {first, last, stride}
  first = last + 1
end

if size == 0 then
  -- Nothing is added, so this must pass when the store is full: it is how a producer fills a refused number.
  redis.call('HDEL', producer, '')
end
in_chunks('HSET', jobs, stored)
in_chunks('ZADD', scheduled, due)
in_chunks('HSET', unique, keys)
local woken = {}
for list = 1, list_count do
  local queue, level = string.match(ARGV[first_list + list - 1], '^(%d+):(%d)$')
  queue = tonumber(queue)
  if #ready[list] > 0 then
    use_level(queues, ARGV[8 + queue], tonumber(level))
    in_chunks('RPUSH', KEYS[first_ready + list - 1], ready[list])
    woken[queue] = true
  end
end
for queue = 1, queue_count do
  local name = ARGV[8 + queue]
  if not known[queue] and (woken[queue] or delayed[queue] > 0) then
    redis.call('HSETNX', queues, name, '0')
  end
  if delayed[queue] > 0 then
    redis.call('HINCRBY', counts, 'scheduled:' .. name, delayed[queue])
  end
  if sleepers[queue] and (woken[queue] or queue == earliest_queue) then
    redis.call('RPUSH', KEYS[first_wake + queue - 1], '1')
  end
end
if number == 1 then
  redis.call('HSETNX', meta, 'format', '1')
end

local answers = {}
for _, run in ipairs(refusals > 0 and strides or {}) do
  for at = run[1], run[2], run[3] do
    answers[#answers + 1] = refused[at] or 'A'
  end
end
local answer, rivals = table.concat(answers), table.concat(holders, ' ')
redis.call('HSET', producer, lane, whole(number) .. (refusals > 0 and ' ' .. answer .. ' ' .. rivals or ''))
redis.call('PEXPIRE', producer, whole(lane_ttl))
return {'applied', answer, rivals}
