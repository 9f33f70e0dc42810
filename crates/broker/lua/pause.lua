-- PURPOSE: pauses or resumes a queue; resuming wakes a worker.
-- PRECONDITION: none.
-- KEYS: 1 queues, 2 alarm.
-- ARGV: 1 name, 2 paused.
-- RETURNS: {done}.
local queues = KEYS[1]
local alarm = KEYS[2]
local name = ARGV[1]
local paused = ARGV[2]

redis.call('HDEL', queues, '')
redis.call('LLEN', alarm)
local value = redis.call('HGET', queues, name) or '0'
redis.call('HSET', queues, name, paused .. string.sub(value, 2))
if paused == '0' then
  wake(alarm)
end
return {'done'}
