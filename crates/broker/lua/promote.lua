-- PURPOSE: makes due jobs ready. A due id without a record is forgotten; bytes that are no record are shelved.
-- PRECONDITION: each job is still scheduled and due, else nothing happens to it.
-- KEYS: 1 scheduled, 2 jobs, 3 counts, 4 unreadable, 5 queues; then for each queue its lists, see lib/queue.lua.
-- ARGV: 1 override, 2 queue_count; then the names of the queues; then for each job what to do (ready, shelve or forget),
--   the place of its queue, its id.
-- RETURNS: {done, how many became ready, next due or ''}.
local scheduled = KEYS[1]
local jobs = KEYS[2]
local counts = KEYS[3]
local unreadable = KEYS[4]
local queues = KEYS[5]
local first_list = 6
local override = ARGV[1]
local queue_count = tonumber(ARGV[2])

local now = clock(override)
redis.call('HLEN', jobs)
redis.call('HLEN', counts)
redis.call('ZCARD', unreadable)
redis.call('HLEN', queues)
expect_queues(first_list, #KEYS)
local stamped = stamp(now)
local promoted, touched = 0, {}
for at = 3 + queue_count, #ARGV, 3 do
  local order, queue, id = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local due = tonumber(redis.call('ZSCORE', scheduled, id) or '')
  if due and due <= now then
    local record = redis.call('HGET', jobs, id)
    if not record then
      redis.call('ZREM', scheduled, id)
    elseif order ~= 'forget' then
      redis.call('ZREM', scheduled, id)
      redis.call('HINCRBY', counts, 'scheduled:' .. ARGV[2 + queue], -1)
      if order == 'ready' and is_readable(record) then
        put_ready(queues, ARGV[2 + queue], jobs, id, made_ready(record, stamped), lists_of(first_list, queue))
        touched[queue] = true
        promoted = promoted + 1
      else
        shelve(unreadable, counts, id, ARGV[2 + queue], now)
      end
    end
  end
end
wake_queues(touched, first_list)
return {'done', whole(promoted), or_none(next_due(scheduled))}
