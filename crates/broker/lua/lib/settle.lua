-- Ending deliveries: the body of settle and of exchange.
--
-- keys: lost, dead, parked, ends, keeps, burials, unique, revoked, queues, events, untils; then for each queue its lists, see lib/queue.lua,
-- for each task its parked set, for each time to keep ends its list of ended jobs, for each workflow its hash; from KEYS[first_key].
-- arguments: channel, queue_count, task_count, keep_count, workflow_count, run_count, job_count; then the names of the queues and of the
-- tasks, the times in ms, the ids of the workflows; then for each run its token, its way and how many jobs it has; then the ids, run by run; then
-- the values of the ways, run by run; from ARGV[first_arg]. A run is jobs that leave one hand-out by one way:
--   `-` (removed; its end is not kept), `=n` (removed; its end is kept as long as the n-th time says; outcome), `mn.w.f.c.o.b` and, with a
--   space before each, their nodes, each row of neighbours as first-last (the same for steps of the w-th workflow that have succeeded, and count
--   for node f, which waits for c; o is 1 if their value says `ok`; the result stands behind b bytes of the outcome), or `w`, and then for each job: finish, unique key, place of the time or 0, outcome, step · retry, queue, delay, record · dead, queue,
--   record, retention, unique key, place of the time or 0, outcome, step · requeue, queue, record · park, queue, task, record.
--   Queue and task are places, a record lacks its second stamp, and an unkept end has no outcome. A step is the place of its workflow or 0,
--   and then what lib/workflow.lua reads of its end.

-- The letter of a run of members.
local MEMBERS = 109

local function read_settlements(first_key, first_arg)
  local a = first_arg
  local batch = {
    lost = KEYS[first_key], dead = KEYS[first_key + 1], parked = KEYS[first_key + 2], ends = KEYS[first_key + 3],
    known_keeps = KEYS[first_key + 4], burials = KEYS[first_key + 5], unique = KEYS[first_key + 6],
    revoked = KEYS[first_key + 7], known_queues = KEYS[first_key + 8], events = KEYS[first_key + 9], untils = KEYS[first_key + 10],
    channel = ARGV[a], queues = tonumber(ARGV[a + 1]), tasks = tonumber(ARGV[a + 2]), keeps = tonumber(ARGV[a + 3]),
    flows = tonumber(ARGV[a + 4]), runs = tonumber(ARGV[a + 5]), jobs = tonumber(ARGV[a + 6]),
    first_list = first_key + 11, first_queue = a + 7,
  }
  batch.first_task_key = batch.first_list + LISTS * batch.queues
  batch.first_ended = batch.first_task_key + batch.tasks
  batch.first_flow = batch.first_ended + batch.keeps
  batch.next_key = batch.first_flow + batch.flows
  batch.first_task = batch.first_queue + batch.queues
  batch.first_keep = batch.first_task + batch.tasks
  batch.first_flow_id = batch.first_keep + batch.keeps
  batch.first_run = batch.first_flow_id + batch.flows
  batch.first_id = batch.first_run + 3 * batch.runs
  batch.first_value = batch.first_id + batch.jobs
  return batch
end

-- Fails with WRONGTYPE, before anything is written, if a key is of another kind.
local function check_settlements(batch)
  batch.revoking = redis.call('HLEN', batch.revoked) > 0
  if batch.keeps > 0 or batch.flows > 0 then
    redis.call('HLEN', batch.ends)
  end
  if batch.keeps > 0 then
    redis.call('SCARD', batch.known_keeps)
    expect_lists(batch.first_ended, batch.first_flow - 1)
  end
  if batch.flows > 0 then
    check_workflows(batch, batch.first_flow, batch.next_key - 1)
  end
  if batch.queues > 0 then
    if redis.call('EXISTS', batch.dead, batch.burials, batch.parked) > 0 then
      redis.call('ZCARD', batch.dead)
      redis.call('ZCARD', batch.burials)
      redis.call('SCARD', batch.parked)
    end
    redis.call('HLEN', batch.known_queues)
    expect_queues(batch.first_list, batch.first_task_key - 1)
    for at = batch.first_task_key, batch.first_ended - 1 do
      redis.call('ZCARD', KEYS[at])
    end
  end
  redis.call('HLEN', batch.unique)
end

-- The places of the jobs that are not held under their token, and how many those are.
local function find_strangers(batch, running)
  local strangers, count, id = {}, 0, batch.first_id
  for run = batch.first_run, batch.first_id - 1, 3 do
    local token, last = ARGV[run], id + tonumber(ARGV[run + 2]) - 1
    for first = id, last, VALUES do
      local tokens = redis.call('HMGET', running, unpack(ARGV, first, math.min(first + VALUES - 1, last)))
      for at = 1, #tokens do
        if tokens[at] ~= token then
          strangers[first + at - 1] = true
          count = count + 1
        end
      end
    end
    id = last + 1
  end
  return strangers, count
end

-- Applies what is held, and answers a letter for each job, D (done), N (not held) or R (still held: it was revoked, and this is no
-- end), or '' if all were done. `caller` may have `quiet` and `known` for the steps that begin, see lib/workflow.lua. Then `batch.stirred` says
-- whether a suspect or a wake token may have come.
local function settle_jobs(batch, running, jobs, scheduled, counts, now, caller)
  local strangers, strange = find_strangers(batch, running)
  local refused = {}
  local next_value, stamped = batch.first_value, stamp(now)
  local earliest
  batch.kept_ends = begin_ends(batch.ends, batch.known_keeps, batch.first_ended, batch.first_keep)

  local function value()
    next_value = next_value + 1
    return ARGV[next_value - 1]
  end

  local function queue_name(queue)
    return ARGV[batch.first_queue + queue - 1]
  end

  local function store(id, record)
    record = string.sub(record, 1, 6) .. stamped .. string.sub(record, 7)
    redis.call('HSET', jobs, id, record)
    return record
  end

  local function count(state, queue)
    redis.call('HINCRBY', counts, state .. ':' .. queue_name(queue), 1)
  end

  local store_of_steps = {
    jobs = jobs, queues = batch.known_queues, ends = batch.ends, dead = batch.dead, burials = batch.burials, counts = counts,
    events = batch.events, untils = batch.untils, quiet = caller and caller.quiet, known = caller and caller.known,
  }

  local function lists_of_queue(queue)
    return lists_of(batch.first_list, queue)
  end

  -- The end of a step moves its workflow on.
  local function follow(held)
    local place = tonumber(value())
    if place == 0 then
      return
    end
    local step = read_step(value, lists_of_queue, queue_name)
    if held then
      end_step(store_of_steps, KEYS[batch.first_flow + place - 1], ARGV[batch.first_flow_id + place - 1], step, now)
    end
  end

  local ways = {}

  function ways.finish(id, held)
    local key, place = value(), tonumber(value())
    local outcome = place > 0 and value()
    if held then
      redis.call('HDEL', jobs, id)
      free_key(batch.unique, key, id)
      if outcome then
        keep_end(batch.kept_ends, place, id, outcome, now)
      end
    end
    follow(held)
  end

  function ways.retry(id, held)
    local queue, delay, record = tonumber(value()), tonumber(value()), value()
    if not held then
      return
    end
    local due = math.min(now + delay, LATEST)
    earliest = earliest or next_due(scheduled) or math.huge
    store(id, record)
    redis.call('ZADD', scheduled, whole(due), id)
    count('scheduled', queue)
    if due < earliest then
      earliest, batch.stirred = due, true
      wake(KEYS[lists_of(batch.first_list, queue) + WAKE])
    end
  end

  function ways.dead(id, held)
    local queue, record, retention, key, place = tonumber(value()), value(), tonumber(value()), value(), tonumber(value())
    local outcome = place > 0 and value()
    if not held then
      return follow(held)
    end
    store(id, record)
    redis.call('ZADD', batch.dead, whole(now), id)
    redis.call('ZADD', batch.burials, whole(math.min(now + retention, LATEST)), id)
    count('dead', queue)
    free_key(batch.unique, key, id)
    if outcome then
      keep_end(batch.kept_ends, place, id, outcome, now)
    end
    follow(held)
  end

  function ways.requeue(id, held)
    local queue, record = tonumber(value()), value()
    if held then
      local lists = lists_of(batch.first_list, queue)
      record, batch.stirred = store(id, record), true
      if is_suspect(record) then
        -- Behind the others: one that nobody can finish must not keep them waiting.
        redis.call('RPUSH', KEYS[lists + SUSPECTS], id)
      else
        use_level(batch.known_queues, queue_name(queue), priority_of(record))
        redis.call('LPUSH', KEYS[lists + 1 + priority_of(record)], id)
      end
      wake(KEYS[lists + WAKE])
    end
  end

  function ways.park(id, held)
    local queue, task, record = tonumber(value()), tonumber(value()), value()
    if held then
      store(id, record)
      redis.call('ZADD', KEYS[batch.first_task_key + task - 1], whole(now), id)
      redis.call('SADD', batch.parked, ARGV[batch.first_task + task - 1])
      count('parked', queue)
    end
  end

  -- Whether a job that was revoked would go on: its holder is told, and ends it.
  local function goes_on(at, way)
    if not batch.revoking or way == 'finish' or way == 'dead' then
      return false
    end
    refused[at] = redis.call('HEXISTS', batch.revoked, ARGV[at]) == 1 or nil
    return refused[at]
  end

  -- Removes the records of a run, those of strangers excepted.
  local function remove(first, last)
    if strange == 0 then
      for at = first, last, VALUES do
        redis.call('HDEL', jobs, unpack(ARGV, at, math.min(at + VALUES - 1, last)))
      end
      return
    end
    local removed = {}
    for at = first, last do
      removed[#removed + 1] = not strangers[at] and ARGV[at] or nil
    end
    in_chunks('HDEL', jobs, removed)
  end

  -- Ends members of a group: from the first to the last id.
  local function end_members(first, last, way)
    local place, flow, follower, need, wrapped, front, rows =
      string.match(way, '^m(%d+)%.(%d+)%.(%d+)%.(%d+)%.(%d)%.(%d+)( .*)$')
    place, flow, front = tonumber(place), tonumber(flow), tonumber(front)
    local members = {follower = follower, need = tonumber(need), nodes = {}, values = {}}
    local at, count = first, 0
    for first_node, last_node in string.gmatch(rows, ' (%d+)-(%d+)') do
      for node = tonumber(first_node), tonumber(last_node) do
        local outcome = ARGV[next_value]
        next_value = next_value + 1
        if not strangers[at] then
          if place > 0 then
            keep_end(batch.kept_ends, place, ARGV[at], outcome, now)
          end
          local result = string.sub(outcome, front + 1)
          count = count + 1
          members.nodes[count], members.values[count] = node, wrapped == '1' and '{"ok":' .. result .. '}' or result
        end
        at = at + 1
      end
    end
    succeed_members(store_of_steps, KEYS[batch.first_flow + flow - 1], ARGV[batch.first_flow_id + flow - 1], members, now)
  end

  local id = batch.first_id
  for run = batch.first_run, batch.first_id - 1, 3 do
    local way, last = ARGV[run + 1], id + tonumber(ARGV[run + 2]) - 1
    if way == 'w' then
      for at = id, last do
        local chosen, held = value(), not strangers[at]
        ways[chosen](ARGV[at], held and not goes_on(at, chosen))
      end
    elseif string.byte(way) == MEMBERS then
      end_members(id, last, way)
      remove(id, last)
    else
      local place = tonumber(string.sub(way, 2))
      for at = id, place and last or 0 do
        local outcome = value()
        if not strangers[at] then
          keep_end(batch.kept_ends, place, ARGV[at], outcome, now)
        end
      end
      remove(id, last)
    end
    id = last + 1
  end

  batch.stirred = batch.stirred or store_of_steps.woken

  -- Every job that was held leaves the hands of this holder, whatever its way; one that was revoked, only by its end.
  local letters = {}
  if strange == 0 and not next(refused) then
    for first = batch.first_id, batch.first_value - 1, VALUES do
      redis.call('HDEL', running, unpack(ARGV, first, math.min(first + VALUES - 1, batch.first_value - 1)))
    end
    if batch.revoking then
      in_chunks('HDEL', batch.revoked, {unpack(ARGV, batch.first_id, batch.first_value - 1)})
    end
  else
    local released = {}
    for at = batch.first_id, batch.first_value - 1 do
      letters[#letters + 1] = strangers[at] and 'N' or refused[at] and 'R' or 'D'
      released[#released + 1] = not strangers[at] and not refused[at] and ARGV[at] or nil
    end
    in_chunks('HDEL', running, released)
    in_chunks('HDEL', batch.revoked, released)
  end
  return table.concat(letters)
end
