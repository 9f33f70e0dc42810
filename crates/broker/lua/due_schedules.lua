-- PURPOSE: shows the schedules that are due, the earliest first; writes nothing.
-- PRECONDITION: none.
-- KEYS: 1 schedules, 2 states, 3 due, 4 changes.
-- ARGV: 1 override, 2 max.
-- RETURNS: {done, now, when the first that is not shown is due or '', mark, found}, found being name, value, state or '', when due.
local schedules = KEYS[1]
local states = KEYS[2]
local due = KEYS[3]
local changes = KEYS[4]
local override = ARGV[1]
local max = tonumber(ARGV[2])

local now = clock(override)

-- What a schedule says. One without that, or with a name that no call could bring, was written by hand: it is passed over and counts
-- for nothing, because nobody could move it on, and it would stand in front of the others for ever.
local function value_of(name)
  return #name <= 160 and string.find(name, '^[A-Za-z0-9._:/-]+$') and redis.call('HGET', schedules, name)
end

-- About so many bytes are answered in one call, and one schedule at least.
local MOST_BYTES = 1048576
local found, place, wanted, bytes = {}, 0, max, 0
while wanted > 0 do
  local rows = redis.call('ZRANGEBYSCORE', due, '-inf', whole(now), 'WITHSCORES', 'LIMIT', whole(place), whole(wanted))
  for at = 1, #rows, 2 do
    local name, value = rows[at], bytes < MOST_BYTES and value_of(rows[at])
    if bytes >= MOST_BYTES then
      break
    end
    place = place + 1
    if value then
      bytes = bytes + #value
      found[#found + 1] = name
      found[#found + 1] = value
      found[#found + 1] = redis.call('HGET', states, name) or ''
      found[#found + 1] = rows[at + 1]
    end
  end
  wanted = bytes < MOST_BYTES and #rows == 2 * wanted and max - #found / 4 or 0
end
local next_one
repeat
  next_one = redis.call('ZRANGE', due, whole(place), whole(place), 'WITHSCORES')
  place = place + 1
until not next_one[1] or value_of(next_one[1])
local newest = redis.call('XREVRANGE', changes, '+', '-', 'COUNT', '1')
local mark = newest[1] and newest[1][1] or '0-0'
return {'done', whole(now), or_none(tonumber(next_one[2])), mark, found}
