-- How workflows move on. `store` has the keys that a step touches when it begins: jobs, queues, ends, dead, burials, counts, events, untils;
-- and, as keys of `quiet`, the ready lists that the caller sees to, and as those of `known` the queues that are registered. `woken` is set once
-- somebody was woken.
-- The hash of a workflow has its fields in words, and for each node, by its index: e, its end (a letter, small while followers are still to
-- be dealt with, then its value); c, how many of those it waits for have ended; a, how many of its followers were dealt with; w, its job
-- while it waits for one step (id, gap, record without stamps, with spaces); `waits` is there if any does;
-- `odd` once anything has ended without success, and `fresh` if no workflow and no job ever had its id. `top` is the highest node that has begun, or
-- ended without a job, but not as a follower in its turn; where it is missing, nothing follows from what is not there.

-- The node of the event that asks for a look at all nodes.
local REVIEW = 4294967294

-- Leaves an event; one that is there is due anew. Padded, so that events of one instant are in order.
local function leave_event(events, workflow, node, now)
  redis.call('ZADD', events, whole(now), workflow .. string.format(' %010.0f', node))
end

-- Whether what waits for a node with this kept end may begin.
local function lets_go_on(kept)
  return kept and string.find(kept, '^[SsEe]') ~= nil
end

-- The queue that a record names.
local function queue_of(record)
  local first = SHORTEST + 1 + string.byte(record, 21)
  local length = string.byte(record, 22)
  return length == 0 and 'default' or string.sub(record, first, first + length - 1)
end

-- Forgets that a step has ended without success; when it was the last such end of a halted workflow, that goes on.
local function forget_failure(store, flow, workflow, node, callback, now)
  local state = redis.call('HMGET', flow, 'e' .. node, 'halted', 'by', 'bad')
  if not state[1] or lets_go_on(state[1]) or state[3] then
    return
  end
  redis.call('HDEL', flow, 'e' .. node)
  if callback then
    return
  end
  local left = math.max((tonumber(state[4]) or 0) - 1, 0)
  redis.call('HSET', flow, 'bad', left)
  if left == 0 and state[2] then
    redis.call('HDEL', flow, 'halted', 'ended')
    redis.call('HDEL', store.ends, workflow)
    redis.call('ZREM', store.untils, workflow)
    leave_event(store.events, workflow, REVIEW, now)
  end
end

-- Enqueues the job of a step. `lists` is the place before the first list of its queue, `name` that queue; `state` what is read here, if the
-- caller knows it. Answers D (done), B (it has ended, or its job is there), H (halted) or U (no such workflow).
local function begin_step(store, flow, workflow, step, name, lists, now, state)
  local node, id = step.node, step.id
  state = state or redis.call('HMGET', flow, 'made', 'e' .. node, 'halted', 'by', 'fresh')
  if not state[1] then
    return 'U'
  elseif state[2] and (lets_go_on(state[2]) or not step.again) then
    return 'B'
  elseif state[4] or (state[3] and not step.again and not step.callback) then
    return 'H'
  end
  local old = redis.call('HGET', store.jobs, id)
  local letter = old and string.sub(old, 14, 14)
  if old and letter ~= 'D' and letter ~= 'R' then
    return 'B'
  end
  if step.again then
    forget_failure(store, flow, workflow, node, step.callback, now)
  end
  local stamped = stamp(now)
  local record = stamped .. stamped .. step.record
  if not state[5] or old or step.again then
    redis.call('HDEL', store.ends, id)
  end
  redis.call('HDEL', flow, 'w' .. node)
  if not (store.known and store.known[name]) then
    redis.call('HSETNX', store.queues, name, '0')
  end
  if letter == 'R' then
    -- Its id still stands in the list, and stands for the new job from now on.
    if is_suspect(old) then
      record = string.sub(record, 1, 14) .. string.char(string.byte(record, 15) + 16) .. string.sub(record, 16)
    end
    redis.call('HINCRBY', store.counts, 'gone:' .. queue_of(old), -1)
    redis.call('HSET', store.jobs, id, record)
  else
    if letter == 'D' then
      redis.call('ZREM', store.dead, id)
      redis.call('ZREM', store.burials, id)
      redis.call('HINCRBY', store.counts, 'dead:' .. queue_of(old), -1)
    end
    put_ready(store.queues, name, store.jobs, id, record, lists)
  end
  if letter == 'R' or not (store.quiet and store.quiet[KEYS[lists + 1 + priority_of(record)]]) then
    wake(KEYS[lists + WAKE])
    store.woken = true
  end
  return 'D'
end

-- Steps to begin, each by its place in lists: `nodes`, `ids`, `records` (without stamps), `names` (of their queues), `lists` (the places before the
-- lists of these), `callbacks`. Lists of texts, because a table for each of 500 members costs as much as all else that is done for them.
local function no_steps()
  return {nodes = {}, ids = {}, records = {}, names = {}, lists = {}, callbacks = {}}
end

local function has_any(values)
  for _, value in ipairs(values) do
    if value then
      return true
    end
  end
  return false
end

-- Notes that a node begins or ends, and not as a follower in its turn.
local function raise_top(flow, node)
  local top = redis.call('HGET', flow, 'top')
  if top and tonumber(top) < node then
    redis.call('HSET', flow, 'top', whole(node))
  end
end

-- Whether all these steps are new: the workflow lets steps begin, and none has ended or has a job. Also, whether jobs of it wait for a step, and
-- whether an end of an earlier job may be kept under one of these ids.
-- Above `top`, the highest node that has begun or ended in another way than as a follower in its turn, nothing has ended that comes in its turn now;
-- and if nothing ever had the id of the workflow, it has no job either.
local function are_new(store, flow, steps, in_turn)
  local state, seen = redis.call('HMGET', flow, 'made', 'halted', 'by', 'waits', 'top', 'fresh'), {}
  if not state[1] or state[2] or state[3] then
    return false
  end
  local is_strange = not (state[6] and in_turn)
  local top = in_turn and tonumber(state[5]) or math.huge
  for first = 1, #steps.ids, VALUES do
    local fields, last = {}, math.min(first + VALUES - 1, #steps.ids)
    for at = first, last do
      if steps.nodes[at] <= top then
        fields[#fields + 1] = string.format('e%d', steps.nodes[at])
      end
      if is_strange then
        if seen[steps.ids[at]] then
          return false
        end
        seen[steps.ids[at]] = true
      end
    end
    if #fields > 0 and has_any(redis.call('HMGET', flow, unpack(fields))) then
      return false
    elseif (is_strange or #fields > 0) and has_any(redis.call('HMGET', store.jobs, unpack(steps.ids, first, last))) then
      return false
    end
  end
  return true, state[4] or not state[5], is_strange
end

-- Begins steps, and answers the letters of begin_step. The members of a large group are all new, and written together. They come in their turn if
-- they wait for one node and this is the only call that ever begins them because of its end.
local function begin_steps(store, flow, workflow, steps, in_turn, again, now)
  local are_all_new, some_wait, is_strange
  if #steps.ids > 1 then
    are_all_new, some_wait, is_strange = are_new(store, flow, steps, in_turn)
  end
  if not in_turn and #steps.ids > 0 then
    raise_top(flow, math.max(unpack(steps.nodes)))
  end
  if not are_all_new then
    local letters = {}
    for at, id in ipairs(steps.ids) do
      local step = {node = steps.nodes[at], id = id, record = steps.records[at], callback = steps.callbacks[at], again = again}
      letters[at] = begin_step(store, flow, workflow, step, steps.names[at], steps.lists[at], now)
    end
    return table.concat(letters)
  end
  local stamps = stamp(now)
  stamps = stamps .. stamps
  local fields, stored, ready, woken = {}, {}, {}, {}
  for at, id in ipairs(steps.ids) do
    local record, lists = steps.records[at], steps.lists[at]
    stored[2 * at - 1], stored[2 * at] = id, stamps .. record
    -- The byte of the priority, which has no stamps before it yet.
    local level = math.min(string.byte(record, 3) % 16, 9)
    local list = KEYS[lists + 1 + level]
    local of_list = ready[list]
    if not of_list then
      of_list = {}
      ready[list] = of_list
      use_level(store.queues, steps.names[at], level)
      woken[lists] = steps.names[at]
    end
    of_list[#of_list + 1] = id
    if some_wait then
      fields[at] = string.format('w%d', steps.nodes[at])
    end
  end
  if is_strange then
    in_chunks('HDEL', store.ends, steps.ids)
  end
  in_chunks('HDEL', flow, fields)
  in_chunks('HSET', store.jobs, stored)
  for list, of_list in pairs(ready) do
    in_chunks('RPUSH', list, of_list)
  end
  for lists, name in pairs(woken) do
    redis.call('HSETNX', store.queues, name, '0')
    store.woken = true
    wake(KEYS[lists + WAKE])
  end
  return string.rep('D', #steps.ids)
end

-- Begins a step that has waited for one other, whose value is given; says whether its job was there. `state` is what begin_step reads.
local function begin_waiting(store, flow, workflow, follower, waiting, state, value, now)
  local id, gap, first = string.match(waiting or '', '^(%S+) (%d*) ()')
  if not id then
    return false
  end
  local record = string.sub(waiting, first)
  if gap ~= '' then
    record = string.sub(record, 1, tonumber(gap)) .. value .. string.sub(record, tonumber(gap) + 1)
  end
  begin_step(store, flow, workflow, {node = follower.node, id = id, record = record}, follower.name, follower.lists, now, state)
  return true
end

-- Counts an end for a node that waits for several.
local function count_for(store, flow, workflow, node, need, now)
  if redis.call('HINCRBY', flow, 'c' .. node, 1) >= need then
    leave_event(store.events, workflow, node, now)
  end
end

-- Keeps the end of a step and lets go on what waits for it. `step.flags` has f (a failure of the workflow), h (which halts it), i (followers
-- are dealt with here), l (the last of the workflow) and k (a callback); `step.next` and `step.counts` say what waits for it.
local function end_step(store, flow, workflow, step, now)
  local node, letter, flags = step.node, step.letter, step.flags
  local asked = {'made', 'e' .. node, 'halted', 'bad', 'fresh'}
  for at, follower in ipairs(step.next) do
    asked[4 + 2 * at], asked[5 + 2 * at] = 'w' .. follower.node, 'e' .. follower.node
  end
  local state = redis.call('HMGET', flow, unpack(asked))
  local old, halted = state[2], state[3]
  if not state[1] or lets_go_on(old) then
    return
  end
  local function is(flag)
    return string.find(flags, flag, 1, true) ~= nil
  end
  if not lets_go_on(letter) then
    if is('f') and not old then
      redis.call('HINCRBY', flow, 'bad', 1)
    end
    redis.call('HSET', flow, 'e' .. node, letter .. step.value, 'odd', '1')
    if is('h') then
      redis.call('HSET', flow, 'halted', '1')
    end
    if not is('k') then
      leave_event(store.events, workflow, node, now)
    end
    return
  end
  if old and not is('k') then
    redis.call('HSET', flow, 'bad', math.max((tonumber(state[4]) or 0) - 1, 0))
  end
  local pending = halted or not is('i')
  redis.call('HSET', flow, 'e' .. node, (pending and string.lower(letter) or letter) .. step.value)
  if halted then
    return
  elseif pending then
    leave_event(store.events, workflow, node, now)
    return
  end
  for at, follower in ipairs(step.next) do
    local waiting, before = state[4 + 2 * at], {state[1], state[5 + 2 * at], false, false, state[5]}
    if not begin_waiting(store, flow, workflow, follower, waiting, before, step.value, now) then
      leave_event(store.events, workflow, follower.node, now)
    end
  end
  for _, follower in ipairs(step.counts) do
    count_for(store, flow, workflow, follower.node, follower.need, now)
  end
  if is('l') then
    leave_event(store.events, workflow, node, now)
  end
end

local function count_members(store, flow, workflow, members, count, now)
  if count > 0 and redis.call('HINCRBY', flow, 'c' .. members.follower, count) >= members.need then
    leave_event(store.events, workflow, members.follower, now)
  end
end

-- Keeps the ends of steps that have succeeded and count for one node, as end_step does, but together.
local function succeed_members(store, flow, workflow, members, now)
  local state = redis.call('HMGET', flow, 'made', 'halted', 'odd', 'top')
  if not state[1] then
    return
  end
  local letter, pairs_of, counted = state[2] and 's' or 'S', {}, 0
  if state[4] and not state[3] then
    -- Nothing has ended without success, so each of these was begun once and has no end yet.
    for at, node in ipairs(members.nodes) do
      pairs_of[2 * at - 1], pairs_of[2 * at] = string.format('e%d', node), letter .. members.values[at]
    end
    for first = 1, #pairs_of, VALUES do
      counted = counted + redis.call('HSET', flow, unpack(pairs_of, first, math.min(first + VALUES - 1, #pairs_of)))
    end
    return count_members(store, flow, workflow, members, state[2] and 0 or counted, now)
  end
  local counts = {{node = members.follower, need = members.need}}
  for first = 1, #members.nodes, VALUES do
    local fields = {}
    for at = first, math.min(first + VALUES - 1, #members.nodes) do
      fields[#fields + 1] = string.format('e%d', members.nodes[at])
    end
    local kept = redis.call('HMGET', flow, unpack(fields))
    for at, field in ipairs(fields) do
      local value = members.values[first + at - 1]
      if kept[at] then
        local step = {node = string.sub(field, 2), letter = 'S', value = value, flags = 'i', next = {}, counts = counts}
        end_step(store, flow, workflow, step, now)
      else
        local size = #pairs_of
        pairs_of[size + 1], pairs_of[size + 2] = field, letter .. value
        counted = counted + 1
      end
    end
  end
  in_chunks('HSET', flow, pairs_of)
  count_members(store, flow, workflow, members, state[2] and 0 or counted, now)
end

-- Reads the end of a step from the arguments: `take` answers the next one, `lists` the place before the lists of a queue by its place, `names`
-- its name.
local function read_step(take, lists, names)
  local step = {node = take(), letter = take(), value = take(), flags = take(), next = {}, counts = {}}
  for at = 1, tonumber(take()) do
    local node, queue = take(), tonumber(take())
    step.next[at] = {node = node, name = names(queue), lists = lists(queue)}
  end
  for at = 1, tonumber(take()) do
    step.counts[at] = {node = take(), need = tonumber(take())}
  end
  return step
end

-- Fails with WRONGTYPE, before anything is written, if a key is of another kind.
local function check_workflows(store, first_flow, last_flow)
  redis.call('ZCARD', store.events)
  redis.call('ZCARD', store.untils)
  for at = first_flow, last_flow do
    redis.call('HLEN', KEYS[at])
  end
end
