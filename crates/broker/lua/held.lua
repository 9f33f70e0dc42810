-- PURPOSE: shows jobs that an incarnation holds, with their records; writes nothing.
-- PRECONDITION: none.
-- KEYS: 1 running, 2 jobs.
-- ARGV: 1 max_jobs, 2 max_bytes; then the ids to look for, none being all.
-- RETURNS: {done, found}, found being id, token, record for each job that has a record.
local running = KEYS[1]
local jobs = KEYS[2]
local max_jobs = tonumber(ARGV[1])
local max_bytes = tonumber(ARGV[2])

local held, found, bytes = {}, {}, 0
if #ARGV == 2 then
  held = held_in(running)
end
for at = 3, #ARGV do
  local token = redis.call('HGET', running, ARGV[at])
  if token then
    held[#held + 1] = ARGV[at]
    held[#held + 1] = token
  end
end
for at = 1, #held, 2 do
  if #found / 3 >= max_jobs or bytes >= max_bytes then
    break
  end
  local record = redis.call('HGET', jobs, held[at])
  if record then
    bytes = bytes + #record
    found[#found + 1] = held[at]
    found[#found + 1] = held[at + 1]
    found[#found + 1] = record
  end
end
return {'done', found}
