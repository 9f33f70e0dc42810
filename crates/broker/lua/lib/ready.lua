-- How a waiting job becomes ready: the tail of promote, release and retry_dead.
--
-- The keys of queue number n are ready, suspects and wake, from KEYS[base + 3 * n - 2].

-- Writes the record as ready and puts the id at the end of its queue, or of the queue's suspects.
local function put_ready(jobs, id, record, base, queue)
  redis.call('HSET', jobs, id, record)
  local list = base + 3 * queue - 2
  if is_suspect(record) then
    list = list + 1
  end
  redis.call('RPUSH', KEYS[list], id)
end

-- Wakes a worker for each queue whose number is a key of `touched`.
local function wake_queues(touched, base)
  for queue in pairs(touched) do
    wake(KEYS[base + 3 * queue])
  end
end

-- Keeps bytes that are no record aside, unchanged and visible.
local function shelve(unreadable, counts, id, queue_name, now)
  redis.call('ZADD', unreadable, whole(now), id)
  redis.call('HINCRBY', counts, 'parked:' .. queue_name, 1)
end
