-- The hash of the jobs that a worker holds.

-- A field that no id can be, with a value above 64 bytes. It makes the hash a hash table for as long as it lives: as a
-- listpack each command would search it from end to end, which doubles the price of a job.
local FILLER = '~'
local FILLING = 'this text keeps the hash a hash table; as a listpack it would be searched from end to end'

-- Id, token, id, token: all that the hash holds.
local function held_in(running)
  local found = {}
  local fields = redis.call('HGETALL', running)
  for at = 1, #fields, 2 do
    if fields[at] ~= FILLER then
      found[#found + 1] = fields[at]
      found[#found + 1] = fields[at + 1]
    end
  end
  return found
end

local function holds_jobs(running)
  return redis.call('HLEN', running) > 1
end

-- Takes jobs out of the hash; an empty one goes.
local function let_go(running, ids)
  in_chunks('HDEL', running, ids)
  if not holds_jobs(running) then
    redis.call('DEL', running)
  end
end
