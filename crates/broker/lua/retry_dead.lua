-- PURPOSE: makes dead jobs ready again, as if they were enqueued now: failures, losses and suspicion are forgotten, and their kept ends
--   removed. Expiry and deadline count from now on, or the job would end again without having run.
-- PRECONDITION: each job is still dead, and its unique key, if it has one, is free; else nothing happens to it.
-- KEYS: 1 dead, 2 jobs, 3 counts, 4 ends, 5 burials, 6 unique, 7 queues, 8 events, 9 untils; then for each queue its lists, see
--   lib/queue.lua; then for each workflow its hash.
-- ARGV: 1 override, 2 queue_count, 3 workflow_count; then the names of the queues, the ids of the workflows; then for each job the place of
--   its queue, its id, its unique key or '', the place of its workflow or zero, its node there, and whether it is a callback.
-- RETURNS: {done, answers}, for each job D (it was dead), N, or U and the id of the job that has its unique key.
local dead = KEYS[1]
local jobs = KEYS[2]
local counts = KEYS[3]
local ends = KEYS[4]
local burials = KEYS[5]
local unique = KEYS[6]
local queues = KEYS[7]
local events = KEYS[8]
local untils = KEYS[9]
local override = ARGV[1]
local queue_count = tonumber(ARGV[2])
local workflow_count = tonumber(ARGV[3])
local first_list = 10
local first_flow = first_list + LISTS * queue_count
local store = {jobs = jobs, ends = ends, events = events, untils = untils}

redis.call('HLEN', jobs)
redis.call('HLEN', counts)
redis.call('HLEN', ends)
redis.call('ZCARD', burials)
redis.call('HLEN', unique)
redis.call('HLEN', queues)
expect_queues(first_list, first_flow - 1)
check_workflows(store, first_flow, #KEYS)
local now = clock(override)
local stamped = stamp(now)

local function made_new(record)
  local flags = string.byte(record, 15)
  if is_suspect(record) then
    flags = flags - 16
  end
  return stamped .. string.sub(record, 7, 14) .. string.char(flags) .. string.sub(record, 16, 17) .. '\0\0\0' .. string.sub(record, 21)
end

local answers, touched = {}, {}
for at = 4 + queue_count + workflow_count, #ARGV, 6 do
  local queue, id, key = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2]
  local answer = 'N'
  local record = redis.call('HGET', jobs, id)
  local holder = key ~= '' and holder_of_key(unique, jobs, key)
  if record and redis.call('ZSCORE', dead, id) then
    if holder and holder ~= id then
      answer = 'U' .. holder
    else
      redis.call('ZREM', dead, id)
      redis.call('ZREM', burials, id)
      redis.call('HDEL', ends, id)
      redis.call('HINCRBY', counts, 'dead:' .. ARGV[3 + queue], -1)
      if key ~= '' then
        redis.call('HSET', unique, key, id)
      end
      local lists = lists_of(first_list, queue)
      put_ready(queues, ARGV[3 + queue], jobs, id, made_new(made_ready(record, stamped)), lists)
      local place = tonumber(ARGV[at + 3])
      if place > 0 then
        local flow, workflow = KEYS[first_flow + place - 1], ARGV[3 + queue_count + place]
        forget_failure(store, flow, workflow, ARGV[at + 4], ARGV[at + 5] == '1', now)
      end
      touched[queue] = true
      answer = 'D'
    end
  end
  answers[#answers + 1] = answer
end
wake_queues(touched, first_list)
return {'done', answers}
