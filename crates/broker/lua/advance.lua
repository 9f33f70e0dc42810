-- PURPOSE: begins steps of a workflow; and, for the followers of a node, notes how many were dealt with.
-- PRECONDITION: as many followers were dealt with before as the caller says, and the workflow is not halted; without a node there is
--   neither condition, and each step says for itself what became of it.
-- KEYS: 1 workflow, 2 untils, 3 events, 4 jobs, 5 queues, 6 ends, 7 dead, 8 burials, 9 counts; then for each queue its lists, see lib/queue.lua.
-- ARGV: 1 override, 2 id, 3 node or '', 4 from, 5 to, 6 last, 7 again (begin also what has ended
--   without success), 8 queue_count, 9 run_count, 10 job_count; then the names of the queues; then for each run its plan and how many
--   jobs it has; then for each job its id and its record without stamps; then for each node that waits for several its index, and for how
--   many. A run is jobs of one plan, in order; a plan is the place of their queue, whether they are callbacks, the node of
--   the first, and how far it is from node to node, with dots between.
-- RETURNS: {done, letters}, for each job what begin_step answers; or {moved, how many}, {halted} or {unknown}.
local workflow = KEYS[1]
local untils = KEYS[2]
local events = KEYS[3]
local jobs = KEYS[4]
local queues = KEYS[5]
local ends = KEYS[6]
local dead = KEYS[7]
local burials = KEYS[8]
local counts = KEYS[9]
local override = ARGV[1]
local id = ARGV[2]
local node = ARGV[3]
local from = ARGV[4]
local to = ARGV[5]
local last = ARGV[6]
local again = ARGV[7]
local queue_count = tonumber(ARGV[8])
local run_count = tonumber(ARGV[9])
local job_count = tonumber(ARGV[10])
local first_list = 10
local first_run = 11 + queue_count
local first_job = first_run + 2 * run_count
local first_count = first_job + 2 * job_count
local ROOT = '4294967295'
local store = {
  untils = untils, events = events, jobs = jobs, queues = queues, ends = ends, dead = dead, burials = burials, counts = counts,
}

check_workflows(store, 1, 1)
for _, key in ipairs({jobs, queues, ends, counts}) do
  redis.call('HLEN', key)
end
redis.call('ZCARD', dead)
redis.call('ZCARD', burials)
expect_queues(first_list, #KEYS)
local state = redis.call('HMGET', workflow, 'made', 'halted', 'a' .. node, 'e' .. node)
if node ~= '' then
  local before = state[3] or '0'
  if not state[1] then
    return {'unknown'}
  elseif state[2] then
    return {'halted'}
  elseif before ~= from then
    return {'moved', before}
  end
end
local now = clock(override)
local steps, place = no_steps(), 0
for run = first_run, first_job - 1, 2 do
  local queue, callback, index, stride = string.match(ARGV[run], '^(%d+)%.(%d)%.(%d+)%.(%d+)$')
  queue, callback, index, stride = tonumber(queue), callback == '1', tonumber(index), tonumber(stride)
  for _ = 1, tonumber(ARGV[run + 1]) do
    local at = first_job + 2 * place
    place = place + 1
    steps.nodes[place], steps.ids[place], steps.records[place] = index, ARGV[at], ARGV[at + 1]
    steps.names[place], steps.lists[place], steps.callbacks[place] = ARGV[10 + queue], lists_of(first_list, queue), callback
    index = index + stride
  end
end
-- Where the commit that ended the node has begun its followers, they do not come in their turn.
local in_turn = node ~= '' and not (state[4] and string.find(state[4], '^[A-Z]'))
local letters = begin_steps(store, workflow, id, steps, in_turn, again == '1', now)
for at = first_count, #ARGV, 2 do
  count_for(store, workflow, id, ARGV[at], tonumber(ARGV[at + 1]), now)
end
if node ~= '' then
  redis.call('HSET', workflow, 'a' .. node, to)
  local kept = redis.call('HGET', workflow, 'e' .. node)
  if last == '1' and node ~= ROOT and not kept then
    redis.call('HSET', workflow, 'e' .. node, 'S')
  elseif last == '1' and lets_go_on(kept) then
    redis.call('HSET', workflow, 'e' .. node, string.upper(string.sub(kept, 1, 1)) .. string.sub(kept, 2))
  end
end
return {'done', letters}
