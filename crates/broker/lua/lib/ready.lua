-- How a waiting job becomes ready: the tail of promote, release and retry_dead.

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
  redis.call('ZADD', unreadable, whole(now), id)
  redis.call('HINCRBY', counts, 'parked:' .. queue_name, 1)
end
