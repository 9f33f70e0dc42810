-- PURPOSE: ends jobs that wait, and tells the workers of those that run.
-- PRECONDITION: each record begins with the bytes that the caller has read, else nothing happens to that job; and every worker that may
--   hold jobs is named, else nothing happens at all.
-- KEYS: 1 jobs, 2 scheduled, 3 counts, 4 ends, 5 keeps, 6 unique, 7 revoked, 8 leases, 9 lost, 10 parked, 11 unreadable,
--   12 events, 13 untils; then for each holder its running hash and its list of orders; then for each task its parked set; then for each time
--   to keep ends its list of ended jobs; then for each workflow its hash.
-- ARGV: 1 override, 2 channel, 3 by, 4 order_ttl, 5 holder_count, 6 queue_count, 7 task_count, 8 keep_count,
--   9 workflow_count, 10 withdraw (yes or no); then the names of holders, queues and tasks, the times in ms, the ids of the workflows; then for each job its id, the fixed bytes its record begins with, the places of its
--   queue and task (zero if the caller cannot read its record), its unique key or '', the place of the time or zero, its end,
--   the place of its workflow or zero, and then what lib/workflow.lua reads of its end. To withdraw jobs of one workflow that has been halted is
--   to end those that wait as if they had never been.
-- RETURNS: {done, letters}, for each job E (ended), T (its worker is told), A (it has changed, look again) H (it is held, and not
--   withdrawn) or C (it waits, and the caller cannot read its record); or {again}; or {refused}: the workflow is not halted.
local jobs = KEYS[1]
local scheduled = KEYS[2]
local counts = KEYS[3]
local ends = KEYS[4]
local keeps = KEYS[5]
local unique = KEYS[6]
local revoked = KEYS[7]
local leases = KEYS[8]
local lost = KEYS[9]
local parked = KEYS[10]
local unreadable = KEYS[11]
local events = KEYS[12]
local untils = KEYS[13]
local override = ARGV[1]
local channel = ARGV[2]
local by = ARGV[3]
local order_ttl = ARGV[4]
local holder_count = tonumber(ARGV[5])
local queue_count = tonumber(ARGV[6])
local task_count = tonumber(ARGV[7])
local keep_count = tonumber(ARGV[8])
local workflow_count = tonumber(ARGV[9])
local withdraw = ARGV[10]
local withdraws = withdraw == 'yes'
local first_holder = 11
local first_queue = first_holder + holder_count
local first_task = first_queue + queue_count
local first_keep = first_task + task_count
local first_flow_id = first_keep + keep_count
local first_job = first_flow_id + workflow_count
local first_running = 14
local first_parked = first_running + 2 * holder_count
local first_ended = first_parked + task_count
local first_flow = first_ended + keep_count
local store = {events = events, untils = untils}

admit(leases)
local now = clock(override)
local named = {}
for at = first_holder, first_queue - 1 do
  named[ARGV[at]] = true
end
for _, key in ipairs({leases, lost}) do
  for _, holder in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    if not named[holder] then
      return {'again'}
    end
  end
end
redis.call('HLEN', jobs)
redis.call('ZCARD', scheduled)
redis.call('HLEN', counts)
redis.call('HLEN', ends)
redis.call('SCARD', keeps)
redis.call('HLEN', unique)
redis.call('HLEN', revoked)
redis.call('SCARD', parked)
redis.call('ZCARD', unreadable)
for at = first_running, first_parked - 1, 2 do
  redis.call('HLEN', KEYS[at])
  redis.call('LLEN', KEYS[at + 1])
end
for at = first_parked, first_ended - 1 do
  redis.call('ZCARD', KEYS[at])
end
expect_lists(first_ended, first_flow - 1)
check_workflows(store, first_flow, #KEYS)
if withdraws and not redis.call('HGET', KEYS[first_flow], 'halted') then
  return {'refused'}
end

local stamped, letters = stamp(now), {}
local kept = begin_ends(ends, keeps, first_ended, first_keep)

-- The place of the one who holds a job, or nil.
local function holder_of(id)
  for holder = 1, holder_count do
    if redis.call('HEXISTS', KEYS[first_running + 2 * holder - 2], id) == 1 then
      return holder
    end
  end
  return nil
end

local function tell(id, holder)
  redis.call('HSET', revoked, id, whole(now) .. ' ' .. by)
  local orders = KEYS[first_running + 2 * holder - 1]
  wake(orders)
  redis.call('PEXPIRE', orders, order_ttl)
end

-- Takes a job from the place where it waits. In the middle of a list its id stays, and its record says so until the id comes up.
local function take_out(id, record, state, queue, task)
  if state == 'Q' then
    redis.call('HSET', jobs, id, tombstone(record, stamped))
    redis.call('HINCRBY', counts, 'gone:' .. queue, 1)
    return
  end
  redis.call('HDEL', jobs, id)
  if state == 'P' then
    local aside = KEYS[first_parked + task - 1]
    redis.call('ZREM', aside, id)
    redis.call('HINCRBY', counts, 'parked:' .. queue, -1)
    if redis.call('ZCARD', aside) == 0 then
      redis.call('SREM', parked, ARGV[first_task + task - 1])
    end
  else
    redis.call('ZREM', scheduled, id)
    redis.call('HINCRBY', counts, 'scheduled:' .. queue, -1)
  end
end

local at = first_job
local function take()
  at = at + 1
  return ARGV[at - 1]
end
while ARGV[at] do
  local id, head, queue, task = take(), take(), tonumber(take()), tonumber(take())
  local key, place, outcome, flow = take(), tonumber(take()), take(), tonumber(take())
  local step = flow > 0 and read_step(take)
  local record = redis.call('HGET', jobs, id)
  local letter = 'A'
  if record and string.sub(record, 1, SHORTEST) == head then
    local state = string.sub(record, 14, 14)
    local holder = (state == 'Q' or task == 0) and holder_of(id)
    if holder and withdraws then
      letter = 'H'
    elseif holder then
      tell(id, holder)
      letter = 'T'
    elseif unshelve(unreadable, counts, id) then
      redis.call('HDEL', jobs, id)
      free_key(unique, key, id)
      if place > 0 then
        keep_end(kept, place, id, outcome, now)
      end
      letter = 'E'
    elseif task == 0 then
      letter = 'C'
    elseif state == 'Q' or state == 'S' or state == 'T' or state == 'P' then
      take_out(id, record, state, ARGV[first_queue + queue - 1], task)
      free_key(unique, key, id)
      if place > 0 then
        keep_end(kept, place, id, outcome, now)
      end
      if step then
        end_step(store, KEYS[first_flow + flow - 1], ARGV[first_flow_id + flow - 1], step, now)
      end
      letter = 'E'
    end
  end
  letters[#letters + 1] = letter
end
finish_ends(kept, channel, now)
return {'done', table.concat(letters)}
