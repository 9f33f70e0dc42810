-- PURPOSE: takes jobs from the head of a list of a queue and ends them.
-- PRECONDITION: each job is the head when its turn comes, and its record begins with the bytes that the caller has read; else the call
--   stops there.
-- KEYS: 1 jobs, 2 counts, 3 ends, 4 keeps, 5 unique, 6 unreadable, 7 list; then for each time to keep ends its list of ended jobs.
-- ARGV: 1 override, 2 channel, 3 name, 4 keep_count; then the times in ms; then for each job its id, the fixed bytes its record begins with
--   or '', its unique key or '', the place of the time or zero, its end.
-- RETURNS: {done, how many were ended, how many ids were taken out}.
local jobs = KEYS[1]
local counts = KEYS[2]
local ends = KEYS[3]
local keeps = KEYS[4]
local unique = KEYS[5]
local unreadable = KEYS[6]
local list = KEYS[7]
local override = ARGV[1]
local channel = ARGV[2]
local name = ARGV[3]
local keep_count = tonumber(ARGV[4])
local first_ended, first_keep = 8, 5

redis.call('HDEL', jobs, '')
redis.call('HLEN', counts)
redis.call('HLEN', ends)
redis.call('SCARD', keeps)
redis.call('HLEN', unique)
redis.call('ZCARD', unreadable)
expect_lists(first_ended - 1, #KEYS)
local now = clock(override)
local kept = begin_ends(ends, keeps, first_ended, first_keep)
local ended, taken = 0, 0
for at = first_keep + keep_count, #ARGV, 5 do
  local id, head, key, place, outcome = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4]
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
    ended = ended + 1
  end
end
finish_ends(kept, channel, now)
return {'done', whole(ended), whole(taken)}
