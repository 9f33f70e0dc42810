-- PURPOSE: makes dead jobs ready again, as if they were enqueued now: failures, losses and suspicion are forgotten, and their kept ends
--   removed. Expiry and deadline count from now on, or the job would end again without having run.
-- PRECONDITION: each job is still dead, and its unique key, if it has one, is free; else nothing happens to it.
-- KEYS: 1 dead, 2 jobs, 3 counts, 4 ends, 5 burials, 6 unique, 7 queues; then for each queue its lists, see lib/queue.lua.
-- ARGV: 1 override, 2 queue_count; then the names of the queues; then for each job the place of its queue, its id, its
--   unique key or ''.
-- RETURNS: {done, answers}, for each job D (it was dead), N, or U and the id of the job that has its unique key.
local dead = KEYS[1]
local jobs = KEYS[2]
local counts = KEYS[3]
local ends = KEYS[4]
local burials = KEYS[5]
local unique = KEYS[6]
local queues = KEYS[7]
local override = ARGV[1]
local queue_count = tonumber(ARGV[2])
local first_list = 8

redis.call('HLEN', jobs)
redis.call('HLEN', counts)
redis.call('HLEN', ends)
redis.call('ZCARD', burials)
redis.call('HLEN', unique)
redis.call('HLEN', queues)
expect_lists(first_list, #KEYS)
local stamped = stamp(clock(override))

local function made_new(record)
  local flags = string.byte(record, 15)
  if is_suspect(record) then
    flags = flags - 16
  end
  return stamped .. string.sub(record, 7, 14) .. string.char(flags) .. string.sub(record, 16, 17) .. '\0\0\0' .. string.sub(record, 21)
end

local answers, touched = {}, {}
for at = 3 + queue_count, #ARGV, 3 do
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
      redis.call('HINCRBY', counts, 'dead:' .. ARGV[2 + queue], -1)
      if key ~= '' then
        redis.call('HSET', unique, key, id)
      end
      local lists = lists_of(first_list, queue)
      put_ready(queues, ARGV[2 + queue], jobs, id, made_new(made_ready(record, stamped)), lists)
      touched[queue] = true
      answer = 'D'
    end
  end
  answers[#answers + 1] = answer
end
wake_queues(touched, first_list)
return {'done', answers}
