-- PURPOSE: adds schedules, or changes them.
-- PRECONDITION: one that is there belongs to the same owner; else nothing happens to it.
-- KEYS: 1 schedules, 2 states, 3 due, 4 changes.
-- ARGV: 1 override; then for each schedule its name, its owner or '', its timetable, its definition.
-- RETURNS: {done, answers}, for each schedule A (added), C (changed), U (unchanged), or O and the owner it belongs to.
local schedules = KEYS[1]
local states = KEYS[2]
local due = KEYS[3]
local changes = KEYS[4]
local override = ARGV[1]

redis.call('HLEN', states)
redis.call('ZCARD', due)
redis.call('XLEN', changes)
local now = clock(override)

local answers, changed = {}, false
for at = 2, #ARGV, 4 do
  local name, owner, timetable, definition = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local value = owner .. '\n' .. timetable .. '\n' .. definition
  local kept = redis.call('HGET', schedules, name)
  local kept_owner, kept_timetable = parts_of(kept or '')
  local answer = 'U'
  if kept and kept_owner ~= owner then
    answer = 'O' .. kept_owner
  elseif kept ~= value or not is_state(redis.call('HGET', states, name)) then
    redis.call('HSET', schedules, name, value)
    local state = state_of(kept and redis.call('HGET', states, name), now)
    if kept then
      state.revision = state.revision + 1
    end
    if kept_timetable ~= timetable then
      state.last = now
    end
    redis.call('HSET', states, name, text_of(state))
    if state.paused == 0 then
      -- A beat finds out when it is due next.
      redis.call('ZADD', due, whole(now), name)
    end
    answer, changed = kept and 'C' or 'A', true
  end
  answers[#answers + 1] = answer
end
if changed then
  tell_beats(changes, now)
end
return {'done', answers}
