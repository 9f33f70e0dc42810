-- PURPOSE: pauses a schedule, or resumes it; what would have occurred meanwhile is not caught up.
-- PRECONDITION: the schedule is there; else nothing happens.
-- KEYS: 1 schedules, 2 states, 3 due, 4 changes.
-- ARGV: 1 override, 2 name, 3 paused.
-- RETURNS: {done} or {not-held}.
local schedules = KEYS[1]
local states = KEYS[2]
local due = KEYS[3]
local changes = KEYS[4]
local override = ARGV[1]
local name = ARGV[2]
local paused = tonumber(ARGV[3])

redis.call('ZCARD', due)
redis.call('XLEN', changes)
local now = clock(override)
local state = state_of(redis.call('HGET', states, name), now)
if redis.call('HEXISTS', schedules, name) == 0 then
  return {'not-held'}
end
if state.paused ~= paused then
  -- First, so that it passes when the store is full.
  redis.call('ZREM', due, name)
  state.revision, state.paused = state.revision + 1, paused
  if paused == 0 then
    state.last = now
    redis.call('ZADD', due, whole(now), name)
  end
  redis.call('HSET', states, name, text_of(state))
  tell_beats(changes, now)
end
return {'done'}
