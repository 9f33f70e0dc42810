-- Ending deliveries: the body of settle and of exchange.
--
-- keys: lost, dead, parked, ends, keeps; then for each queue its ready, suspects and wake lists, for each task its parked set, for
-- each time to keep ends its list of ended jobs; from KEYS[first_key].
-- arguments: channel, queue_count, task_count, keep_count, run_count, job_count; then the names of the queues and of the
-- tasks, the times in ms; then for each run its token, its way and how many jobs it has; then the ids, run by run; then
-- the values of the ways, run by run; from ARGV[first_arg]. A run is jobs that leave one hand-out by one way:
--   `-` (removed; its end is not kept), `=n` (removed; its end is kept as long as the n-th time says; outcome), or `w`,
--   and then for each job: retry, queue, delay, record · dead, queue, record, place of the time or 0, outcome · requeue,
--   queue, record · park, queue, task, record. Queue and task are places, and a record lacks its second stamp.

local function read_settlements(first_key, first_arg)
  local a = first_arg
  local batch = {
    lost = KEYS[first_key], dead = KEYS[first_key + 1], parked = KEYS[first_key + 2], ends = KEYS[first_key + 3],
    known_keeps = KEYS[first_key + 4],
    channel = ARGV[a], queues = tonumber(ARGV[a + 1]), tasks = tonumber(ARGV[a + 2]), keeps = tonumber(ARGV[a + 3]),
    runs = tonumber(ARGV[a + 4]), jobs = tonumber(ARGV[a + 5]),
    first_list = first_key + 5, first_queue = a + 6,
  }
  batch.first_task_key = batch.first_list + 3 * batch.queues
  batch.first_ended = batch.first_task_key + batch.tasks
  batch.next_key = batch.first_ended + batch.keeps
  batch.first_task = batch.first_queue + batch.queues
  batch.first_keep = batch.first_task + batch.tasks
  batch.first_run = batch.first_keep + batch.keeps
  batch.first_id = batch.first_run + 3 * batch.runs
  batch.first_value = batch.first_id + batch.jobs
  return batch
end

-- Fails with WRONGTYPE, before anything is written, if a key is of another kind.
local function check_settlements(batch, jobs, counts)
  redis.call('HLEN', jobs)
  if batch.keeps > 0 then
    redis.call('HLEN', batch.ends)
    redis.call('SCARD', batch.known_keeps)
    expect_lists(batch.first_ended, batch.next_key - 1)
  end
  if batch.queues > 0 then
    redis.call('ZCARD', batch.dead)
    redis.call('HLEN', counts)
    redis.call('SCARD', batch.parked)
    expect_lists(batch.first_list, batch.first_task_key - 1)
    for at = batch.first_task_key, batch.first_ended - 1 do
      redis.call('ZCARD', KEYS[at])
    end
  end
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

-- Applies what is held, and answers a letter for each job, D (done) or N (not held), or '' if all were.
local function settle_jobs(batch, running, jobs, scheduled, counts, now)
  local strangers, strange = find_strangers(batch, running)
  local next_value, stamped = batch.first_value, stamp(now)
  local earliest = batch.queues > 0 and next_due(scheduled) or math.huge
  -- For each time to keep ends: the stamp of its end, and what was kept until then.
  local until_when, kept = {}, {}

  local function value()
    next_value = next_value + 1
    return ARGV[next_value - 1]
  end

  local function list_of(queue, which)
    return KEYS[batch.first_list + 3 * (queue - 1) + which - 1]
  end

  local function keep_end(place, id, outcome, ended)
    if not kept[place] then
      until_when[place] = stamp(math.min(now + tonumber(ARGV[batch.first_keep + place - 1]), LATEST))
      kept[place] = {}
    end
    kept[place][#kept[place] + 1] = id
    ended[#ended + 1] = id
    ended[#ended + 1] = until_when[place] .. outcome
  end

  local function store(id, record)
    record = string.sub(record, 1, 6) .. stamped .. string.sub(record, 7)
    redis.call('HSET', jobs, id, record)
    return record
  end

  local function count(state, queue)
    redis.call('HINCRBY', counts, state .. ':' .. ARGV[batch.first_queue + queue - 1], 1)
  end

  local ways = {}

  function ways.retry(id, held)
    local queue, delay, record = tonumber(value()), tonumber(value()), value()
    if not held then
      return
    end
    local due = math.min(now + delay, LATEST)
    store(id, record)
    redis.call('ZADD', scheduled, whole(due), id)
    count('scheduled', queue)
    if due < earliest then
      earliest = due
      wake(list_of(queue, 3))
    end
  end

  function ways.dead(id, held, ended)
    local queue, record, place = tonumber(value()), value(), tonumber(value())
    local outcome = place > 0 and value()
    if not held then
      return
    end
    store(id, record)
    redis.call('ZADD', batch.dead, whole(now), id)
    count('dead', queue)
    if outcome then
      keep_end(place, id, outcome, ended)
    end
  end

  function ways.requeue(id, held)
    local queue, record = tonumber(value()), value()
    if held then
      record = store(id, record)
      if is_suspect(record) then
        -- Behind the others: one that nobody can finish must not keep them waiting.
        redis.call('RPUSH', list_of(queue, 2), id)
      else
        redis.call('LPUSH', list_of(queue, 1), id)
      end
      wake(list_of(queue, 3))
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

  local id = batch.first_id
  for run = batch.first_run, batch.first_id - 1, 3 do
    local way, last, ended = ARGV[run + 1], id + tonumber(ARGV[run + 2]) - 1, {}
    if way == 'w' then
      for at = id, last do
        ways[value()](ARGV[at], not strangers[at], ended)
      end
    else
      local place = tonumber(string.sub(way, 2))
      for at = id, place and last or 0 do
        local outcome = value()
        if not strangers[at] then
          keep_end(place, ARGV[at], outcome, ended)
        end
      end
      remove(id, last)
    end
    in_chunks('HSET', batch.ends, ended)
    id = last + 1
  end

  -- Every job of the call leaves the hands of this holder, whatever its way.
  local letters = {}
  if strange == 0 then
    for first = batch.first_id, batch.first_value - 1, VALUES do
      redis.call('HDEL', running, unpack(ARGV, first, math.min(first + VALUES - 1, batch.first_value - 1)))
    end
  else
    local released = {}
    for at = batch.first_id, batch.first_value - 1 do
      letters[#letters + 1] = strangers[at] and 'N' or 'D'
      released[#released + 1] = not strangers[at] and ARGV[at] or nil
    end
    in_chunks('HDEL', running, released)
  end

  for place, ids in pairs(kept) do
    local names = table.concat(ids, ' ')
    redis.call('RPUSH', KEYS[batch.first_ended + place - 1], until_when[place] .. names)
    -- Twice as many as came may go, so that what is over never piles up behind a clean-up that comes every few minutes.
    expire_ends(batch.ends, KEYS[batch.first_ended + place - 1], now, 2 * #ids)
    redis.call('SADD', batch.known_keeps, ARGV[batch.first_keep + place - 1])
    batch.news = batch.news and batch.news .. ' ' .. names or names
  end
  return table.concat(letters)
end

-- Tells who waits that ends can be read. The last command, and it may fail: a user without the right to publish costs
-- waiting callers 5 seconds, no more.
local function announce(batch)
  if batch.news then
    redis.pcall('PUBLISH', batch.channel, batch.news)
  end
end
