-- PURPOSE: stores a workflow, and begins it if it is complete with that.
-- PRECONDITION: there is none of its id; a repeat with the same token does nothing.
-- KEYS: 1 workflow, 2 workflows, 3 untils, 4 events, 5 jobs, 6 queues, 7 ends, 8 dead, 9 burials, 10 counts; then for each queue its lists, see
--   lib/queue.lua.
-- ARGV: 1 override, 2 id, 3 token, 4 spec, 5 version, 6 nodes, 7 begun, 8 unstarted_ttl, 9 fresh (nothing ever had its id), 10 queue_count,
--   11 waiting_count; then the names of the queues; then for each job that waits its node and its value, see lib/workflow.lua; then for each other job its node, its
--   id, its record without stamps, the place of its queue.
-- RETURNS: {done} or {in-use}.
local workflow = KEYS[1]
local workflows = KEYS[2]
local untils = KEYS[3]
local events = KEYS[4]
local jobs = KEYS[5]
local queues = KEYS[6]
local ends = KEYS[7]
local dead = KEYS[8]
local burials = KEYS[9]
local counts = KEYS[10]
local override = ARGV[1]
local id = ARGV[2]
local token = ARGV[3]
local spec = ARGV[4]
local version = ARGV[5]
local nodes = ARGV[6]
local begun = ARGV[7]
local unstarted_ttl = tonumber(ARGV[8])
local fresh = ARGV[9]
local queue_count = tonumber(ARGV[10])
local waiting_count = tonumber(ARGV[11])
local first_list = 11
local first_waiting = 12 + queue_count
local first_root = first_waiting + 2 * waiting_count
local store = {
  untils = untils, events = events, jobs = jobs, queues = queues, ends = ends, dead = dead, burials = burials, counts = counts,
}

local known = redis.call('HGET', workflow, 'token')
if known then
  return {known == token and 'done' or 'in-use'}
end
redis.call('ZCARD', workflows)
check_workflows(store, 1, 1)
for _, key in ipairs({jobs, queues, ends, counts}) do
  redis.call('HLEN', key)
end
redis.call('ZCARD', dead)
redis.call('ZCARD', burials)
expect_queues(first_list, #KEYS)
local now = clock(override)
redis.call('HSET', workflow, 'token', token, 'spec', spec, 'version', version, 'nodes', nodes, 'made', whole(now), 'begun', begun, 'top', '-1')
if fresh == '1' then
  redis.call('HSET', workflow, 'fresh', '1')
end
redis.call('ZADD', workflows, whole(now), id)
redis.call('HDEL', ends, id)
if begun == '0' then
  redis.call('ZADD', untils, whole(math.min(now + unstarted_ttl, LATEST)), id)
end
if waiting_count > 0 then
  redis.call('HSET', workflow, 'waits', '1')
end
for at = first_waiting, first_root - 1, 2 do
  redis.call('HSET', workflow, 'w' .. ARGV[at], ARGV[at + 1])
end
local steps = no_steps()
for at = first_root, #ARGV, 4 do
  local queue, place = tonumber(ARGV[at + 3]), #steps.ids + 1
  steps.nodes[place], steps.ids[place], steps.records[place] = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2]
  steps.names[place], steps.lists[place] = ARGV[11 + queue], lists_of(first_list, queue)
end
begin_steps(store, workflow, id, steps, false, false, now)
return {'done'}
