-- PURPOSE: accepts a numbered batch of new jobs, once, however often it arrives.
-- PRECONDITION: the number is one above the last of the lane, or equal to it (then the first answer is repeated).
-- KEYS: 1 jobs, 2 queues, 3 scheduled, 4 counts, 5 producer, 6 meta; then for each queue its ready and wake lists;
--   then for each job whose id was given its result.
-- ARGV: 1 override, 2 lane, 3 number, 4 made_at, 5 lane_ttl, 6 queue_count; then the names of the queues; then for each
--   job a plan, its id, and its record without stamps. A plan is the queue's place, +delay or @due in ms, and ! for a
--   given id.
-- RETURNS: {applied, answers} or {again, answers} or {gap}; answers has A (accepted) or I (id in use) for each job, and
--   is empty if all were accepted.
local jobs = KEYS[1]
local queues = KEYS[2]
local scheduled = KEYS[3]
local counts = KEYS[4]
local producer = KEYS[5]
local meta = KEYS[6]
local override = ARGV[1]
local lane = ARGV[2]
local number = tonumber(ARGV[3])
local made_at = tonumber(ARGV[4])
local lane_ttl = tonumber(ARGV[5])
local queue_count = tonumber(ARGV[6])
local first_list = 7
local first_result = first_list + 2 * queue_count
local first_job = 7 + queue_count
local LATEST = 281474976710655

local now = clock(override)
local kept = redis.call('HGET', producer, lane)
local last = kept and tonumber(string.match(kept, '^%d+')) or 0
if kept and number == last then
  return {'again', string.match(kept, ' (%a+)$') or ''}
end
if number ~= last + 1 or (not kept and made_at + lane_ttl <= now) then
  return {'gap'}
end

-- Wrong types fail here, before the first write.
redis.call('HLEN', jobs)
redis.call('HLEN', queues)
redis.call('HLEN', counts)
redis.call('HLEN', meta)
expect_lists(first_list, first_result - 1)
local earliest = next_due(scheduled) or LATEST + 1

local front = stamp(now) .. stamp(now)
local answers, refused, seen = {}, false, {}
local stored, due, ready, delayed = {}, {}, {}, {}
local earliest_queue
local given_ids = 0
for queue = 1, queue_count do
  ready[queue], delayed[queue] = {}, 0
end

local function in_use(id)
  given_ids = given_ids + 1
  if seen[id] or redis.call('HEXISTS', jobs, id) == 1 then
    return true
  end
  seen[id] = true
  return redis.call('EXISTS', KEYS[first_result + given_ids - 1]) == 1
end

for at = first_job, #ARGV, 3 do
  local plan, id, record = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local queue, sign, millis, given = tonumber(plan), '', '', ''
  if not queue then
    queue, sign, millis, given = string.match(plan, '^(%d+)([+@]?)(%d*)(!?)$')
    queue = tonumber(queue)
  end
  if given == '!' and in_use(id) then
    answers[#answers + 1] = 'I'
    refused = true
  else
    local due_at = now
    if sign ~= '' then
      due_at = math.min(tonumber(millis) + (sign == '+' and now or 0), LATEST)
    end
    if due_at > now then
      due[#due + 1] = whole(due_at)
      due[#due + 1] = id
      delayed[queue] = delayed[queue] + 1
      if due_at < earliest then
        earliest, earliest_queue = due_at, queue
      end
    else
      local list = ready[queue]
      list[#list + 1] = id
      if sign ~= '' then
        record = string.sub(record, 1, 1) .. 'Q' .. string.sub(record, 3)
      end
    end
    answers[#answers + 1] = 'A'
    stored[#stored + 1] = id
    stored[#stored + 1] = front .. record
  end
end

if #stored == 0 then
  -- Nothing is added, so this must pass when the store is full: it is how a producer fills a refused number.
  redis.call('HDEL', producer, '')
end
in_chunks('HSET', jobs, stored)
in_chunks('ZADD', scheduled, due)
for queue = 1, queue_count do
  local name, list = ARGV[6 + queue], ready[queue]
  if #list > 0 or delayed[queue] > 0 then
    redis.call('HSETNX', queues, name, '0')
  end
  if delayed[queue] > 0 then
    redis.call('HINCRBY', counts, 'scheduled:' .. name, delayed[queue])
  end
  if #list > 0 then
    in_chunks('RPUSH', KEYS[first_list + 2 * queue - 2], list)
  end
  if #list > 0 or queue == earliest_queue then
    wake(KEYS[first_list + 2 * queue - 1])
  end
end
if number == 1 then
  redis.call('HSETNX', meta, 'format', '1')
end

local answer = refused and table.concat(answers) or ''
redis.call('HSET', producer, lane, whole(number) .. (refused and ' ' .. answer or ''))
redis.call('PEXPIRE', producer, whole(lane_ttl))
return {'applied', answer}
