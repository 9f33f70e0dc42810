-- PURPOSE: makes dead jobs ready again, with failures, losses and suspicion forgotten, and removes their kept ends.
-- PRECONDITION: each job is still dead, else nothing happens to it.
-- KEYS: 1 dead, 2 jobs, 3 counts, 4 ends; then for each queue its ready, suspects and wake lists.
-- ARGV: 1 override, 2 queue_count; then the names of the queues; then for each job the place of its queue, its id.
-- RETURNS: {done, letters}, D (it was dead) or N for each job.
local dead = KEYS[1]
local jobs = KEYS[2]
local counts = KEYS[3]
local ends = KEYS[4]
local override = ARGV[1]
local queue_count = tonumber(ARGV[2])

redis.call('HLEN', jobs)
redis.call('HLEN', counts)
redis.call('HLEN', ends)
expect_lists(5, #KEYS)
local stamped = stamp(clock(override))

local function innocent(record)
  local flags = string.byte(record, 15)
  if is_suspect(record) then
    flags = flags - 16
  end
  return string.sub(record, 1, 14) .. string.char(flags) .. string.sub(record, 16, 17) .. '\0\0\0' .. string.sub(record, 21)
end

local letters, touched = {}, {}
for at = 3 + queue_count, #ARGV, 2 do
  local queue, id = tonumber(ARGV[at]), ARGV[at + 1]
  local letter = 'N'
  local record = redis.call('HGET', jobs, id)
  if record and redis.call('ZREM', dead, id) == 1 then
    redis.call('HDEL', ends, id)
    redis.call('HINCRBY', counts, 'dead:' .. ARGV[2 + queue], -1)
    put_ready(jobs, id, innocent(made_ready(record, stamped)), 4, queue)
    touched[queue] = true
    letter = 'D'
  end
  letters[#letters + 1] = letter
end
wake_queues(touched, 4)
return {'done', table.concat(letters)}
