-- How a waiting job becomes ready, the tail of promote, release and retry_dead; or is kept aside because nobody can read it.

-- Writes the record as ready and puts the id at the end of its queue, or of the queue's suspects. `lists` is the place before
-- the first list of the queue.
local function put_ready(queues, name, jobs, id, record, lists)
  redis.call('HSET', jobs, id, record)
  if is_suspect(record) then
    redis.call('RPUSH', KEYS[lists + SUSPECTS], id)
  else
    local level = priority_of(record)
    use_level(queues, name, level)
    redis.call('RPUSH', KEYS[lists + 1 + level], id)
  end
end

-- Keeps bytes that are no record aside, unchanged and visible.
local function shelve(unreadable, counts, id, queue_name, now)
  if redis.call('ZADD', unreadable, whole(now), id) == 1 then
    redis.call('HINCRBY', counts, 'parked:' .. queue_name, 1)
    redis.call('HSET', counts, 'shelved:' .. id, queue_name)
  end
end

-- Takes out what was kept aside; says whether it was.
local function unshelve(unreadable, counts, id)
  if redis.call('ZREM', unreadable, id) == 0 then
    return false
  end
  local queue_name = redis.call('HGET', counts, 'shelved:' .. id)
  if queue_name then
    redis.call('HINCRBY', counts, 'parked:' .. queue_name, -1)
    redis.call('HDEL', counts, 'shelved:' .. id)
  end
  return true
end
