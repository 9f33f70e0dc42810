-- PURPOSE: keeps what the handlers of held jobs tell: how far they are, and the newest lines of their logs.
-- PRECONDITION: the holder holds the job under the token; else nothing happens to it.
-- KEYS: 1 running; then for each job its notes.
-- ARGV: 1 override, 2 ttl, 3 max_lines; then for each job its id, its token, its progress or '', the number of its lines, and the lines.
-- RETURNS: {done}.
local running = KEYS[1]
local override = ARGV[1]
local ttl = ARGV[2]
local max_lines = tonumber(ARGV[3])

for at = 2, #KEYS do
  redis.call('HLEN', KEYS[at])
end
local now = whole(clock(override))
local at = 4
for key = 2, #KEYS do
  local id, token, progress, count = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local notes, first = KEYS[key], at + 4
  if redis.call('HGET', running, id) == token then
    if progress ~= '' then
      redis.call('HSET', notes, 'progress', progress)
    end
    for line = first, first + count - 1 do
      -- The lines are a ring: a new one takes the place of the oldest.
      local number = redis.call('HINCRBY', notes, 'lines', 1)
      redis.call('HSET', notes, whole(number % max_lines), now .. ' ' .. ARGV[line])
    end
    redis.call('PEXPIRE', notes, ttl)
  end
  at = first + count
end
return {'done'}
