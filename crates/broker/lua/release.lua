-- PURPOSE: makes parked jobs ready, because a worker knows their task; or jobs that were kept aside, because it can read them.
-- PRECONDITION: each job is still parked, else nothing happens to it.
-- KEYS: 1 aside, 2 jobs, 3 counts, 4 parked, 5 queues; then for each queue its lists, see lib/queue.lua.
-- ARGV: 1 override, 2 task or '' for what was kept aside, 3 queue_count; then the names of the queues; then for each job the place
--   of its queue, its id.
-- RETURNS: {done, how many became ready}.
local aside = KEYS[1]
local jobs = KEYS[2]
local counts = KEYS[3]
local parked = KEYS[4]
local queues = KEYS[5]
local first_list = 6
local override = ARGV[1]
local task = ARGV[2]
local queue_count = tonumber(ARGV[3])

redis.call('HLEN', jobs)
redis.call('HLEN', counts)
redis.call('SCARD', parked)
redis.call('HLEN', queues)
expect_queues(first_list, #KEYS)
local stamped = stamp(clock(override))
local released, touched = 0, {}

local function take_out(id, queue_name)
  if task == '' then
    return unshelve(aside, counts, id)
  end
  local parked_here = redis.call('ZREM', aside, id) == 1
  if parked_here then
    redis.call('HINCRBY', counts, 'parked:' .. queue_name, -1)
  end
  return parked_here
end

for at = 4 + queue_count, #ARGV, 2 do
  local queue, id = tonumber(ARGV[at]), ARGV[at + 1]
  local record = redis.call('HGET', jobs, id)
  if not (record and not is_readable(record)) and take_out(id, ARGV[3 + queue]) then
    if record then
      put_ready(queues, ARGV[3 + queue], jobs, id, made_ready(record, stamped), lists_of(first_list, queue))
      touched[queue] = true
      released = released + 1
    end
  end
end
wake_queues(touched, first_list)
if redis.call('ZCARD', aside) == 0 then
  redis.call('SREM', parked, task)
end
return {'done', whole(released)}
