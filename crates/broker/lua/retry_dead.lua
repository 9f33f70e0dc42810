-- PURPOSE: makes dead jobs ready again, with failures, losses and suspicion forgotten, and removes their kept ends.
-- PRECONDITION: each job is still dead, else nothing happens to it.
-- KEYS: 1 dead, 2 jobs, 3 counts; then for each queue its ready, suspects and wake lists; then for each job its result.
-- ARGV: 1 override, 2 queue_count; then the names of the queues; then for each job the place of its queue, its id.
-- RETURNS: {done, letters}, D (it was dead) or N for each job.
local dead = KEYS[1]
local jobs = KEYS[2]
local counts = KEYS[3]
local override = ARGV[1]
local queue_count = tonumber(ARGV[2])
local next_result = 4 + 3 * queue_count

redis.call('HLEN', jobs)
redis.call('HLEN', counts)
expect_lists(4, next_result - 1)
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
    redis.call('DEL', KEYS[next_result])
    redis.call('HINCRBY', counts, 'dead:' .. ARGV[2 + queue], -1)
    put_ready(jobs, id, innocent(made_ready(record, stamped)), 3, queue)
    touched[queue] = true
    letter = 'D'
  end
  next_result = next_result + 1
  letters[#letters + 1] = letter
end
wake_queues(touched, 3)
return {'done', table.concat(letters)}
