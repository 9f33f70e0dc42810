-- PURPOSE: counts the held jobs of each queue; writes nothing.
-- PRECONDITION: none.
-- KEYS: 1 jobs; then the running hash of each incarnation.
-- ARGV: none.
-- RETURNS: {done, found}, found being queue ('' is the default queue), count, queue, count.
local jobs = KEYS[1]

local counted, names, found = {}, {}, {}
for at = 2, #KEYS do
  local held = held_in(KEYS[at])
  for job = 1, #held, 2 do
    local record = redis.call('HGET', jobs, held[job])
    if record and is_readable(record) then
      local first = 23 + string.byte(record, 21)
      local queue = string.sub(record, first, first + string.byte(record, 22) - 1)
      if not counted[queue] then
        counted[queue] = 0
        names[#names + 1] = queue
      end
      counted[queue] = counted[queue] + 1
    end
  end
end
for _, queue in ipairs(names) do
  found[#found + 1] = queue
  found[#found + 1] = whole(counted[queue])
end
return {'done', found}
