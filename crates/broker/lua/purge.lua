-- PURPOSE: takes jobs from the head of a list of a queue and ends them.
-- PRECONDITION: each job is the head when its turn comes, and its record begins with the bytes that the caller has read; else the call
--   stops there.
-- KEYS: 1 jobs, 2 counts, 3 ends, 4 keeps, 5 unique, 6 unreadable, 7 list, 8 events, 9 untils; then for each time to keep ends its list of
--   ended jobs; then for each workflow its hash.
-- ARGV: 1 override, 2 channel, 3 name, 4 keep_count, 5 workflow_count; then the times in ms, the ids of the workflows; then for each job its id, the fixed bytes its record begins with
--   or '', its unique key or '', the place of the time or zero, its end, the place of its workflow or zero, and then what lib/workflow.lua reads
--   of its end.
-- RETURNS: {done, how many were ended, how many ids were taken out}.
local jobs = KEYS[1]
local counts = KEYS[2]
local ends = KEYS[3]
local keeps = KEYS[4]
local unique = KEYS[5]
local unreadable = KEYS[6]
local list = KEYS[7]
local events = KEYS[8]
local untils = KEYS[9]
local override = ARGV[1]
local channel = ARGV[2]
local name = ARGV[3]
local keep_count = tonumber(ARGV[4])
local workflow_count = tonumber(ARGV[5])
local first_ended, first_keep = 10, 6
local first_flow, first_flow_id = first_ended + keep_count, first_keep + keep_count
local store = {events = events, untils = untils}

redis.call('HDEL', jobs, '')
redis.call('HLEN', counts)
redis.call('HLEN', ends)
redis.call('SCARD', keeps)
redis.call('HLEN', unique)
redis.call('ZCARD', unreadable)
redis.call('LLEN', list)
expect_lists(first_ended, first_flow - 1)
check_workflows(store, first_flow, #KEYS)
local now = clock(override)
local kept = begin_ends(ends, keeps, first_ended, first_keep)
local ended, taken = 0, 0
local at = first_flow_id + workflow_count
local function take()
  at = at + 1
  return ARGV[at - 1]
end
while ARGV[at] do
  local id, head, key, place, outcome, flow = take(), take(), take(), tonumber(take()), take(), tonumber(take())
  local step = flow > 0 and read_step(take)
  local record = redis.call('HGET', jobs, id)
  if redis.call('LINDEX', list, 0) ~= id or string.sub(record or '', 1, SHORTEST) ~= head then
    break
  end
  redis.call('LPOP', list)
  taken = taken + 1
  local state = string.sub(head, 14, 14)
  if record and not is_readable(record) then
    shelve(unreadable, counts, id, name, now)
  elseif state == 'R' then
    redis.call('HDEL', jobs, id)
    redis.call('HINCRBY', counts, 'gone:' .. name, -1)
  elseif state == 'Q' then
    redis.call('HDEL', jobs, id)
    free_key(unique, key, id)
    if place > 0 then
      keep_end(kept, place, id, outcome, now)
    end
    if step then
      end_step(store, KEYS[first_flow + flow - 1], ARGV[first_flow_id + flow - 1], step, now)
    end
    ended = ended + 1
  end
end
finish_ends(kept, channel, now)
return {'done', whole(ended), whole(taken)}
