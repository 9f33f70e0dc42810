-- PURPOSE: notes that a workflow has ended, and tells who waits for it.
-- PRECONDITION: it is there, that was not noted since it last began, and it is halted or not as the end says.
-- KEYS: 1 workflow, 2 untils, 3 events, 4 ends, 5 keeps; then the list of ended jobs of the time to keep its end, if it is kept.
-- ARGV: 1 override, 2 channel, 3 id, 4 retention, 5 outcome, 6 halted; then that time in ms, if it is kept.
-- RETURNS: {done} or {refused}.
local workflow = KEYS[1]
local untils = KEYS[2]
local events = KEYS[3]
local ends = KEYS[4]
local keeps = KEYS[5]
local override = ARGV[1]
local channel = ARGV[2]
local id = ARGV[3]
local retention = tonumber(ARGV[4])
local outcome = ARGV[5]
local halted = ARGV[6] == '1'

check_workflows({untils = untils, events = events}, 1, 1)
redis.call('HLEN', ends)
redis.call('SCARD', keeps)
expect_lists(6, #KEYS)
local state = redis.call('HMGET', workflow, 'made', 'ended', 'halted')
if not state[1] or state[2] or halted ~= (state[3] and true or false) then
  return {'refused'}
end
local now = clock(override)
redis.call('HSET', workflow, 'ended', whole(now))
redis.call('ZADD', untils, whole(math.min(now + retention, LATEST)), id)
local kept = begin_ends(ends, keeps, 6, 7)
if ARGV[7] then
  keep_end(kept, 1, id, outcome, now)
end
finish_ends(kept, channel, now)
return {'done'}
