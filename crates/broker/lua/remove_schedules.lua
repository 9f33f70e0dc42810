-- PURPOSE: removes schedules.
-- PRECONDITION: each belongs to the owner, if one is named; else nothing happens to it.
-- KEYS: 1 schedules, 2 states, 3 due, 4 changes.
-- ARGV: 1 override, 2 any_owner, 3 owner; then the names.
-- RETURNS: {done, answers}, for each name 1 if it was removed, and else 0.
local schedules = KEYS[1]
local states = KEYS[2]
local due = KEYS[3]
local changes = KEYS[4]
local override = ARGV[1]
local any_owner = ARGV[2]
local owner = ARGV[3]

redis.call('HLEN', states)
redis.call('ZCARD', due)
redis.call('XLEN', changes)
local now = clock(override)

local answers, changed = {}, false
for at = 4, #ARGV do
  local name, answer = ARGV[at], 0
  local kept = redis.call('HGET', schedules, name)
  if kept and (any_owner == '1' or parts_of(kept) == owner) then
    redis.call('HDEL', schedules, name)
    redis.call('HDEL', states, name)
    redis.call('ZREM', due, name)
    answer, changed = 1, true
  end
  answers[#answers + 1] = answer
end
if changed then
  tell_beats(changes, now)
end
return {'done', answers}
