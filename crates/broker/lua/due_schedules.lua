-- PURPOSE: shows the schedules that are due, the earliest first; writes nothing.
-- PRECONDITION: none.
-- KEYS: 1 schedules, 2 states, 3 due, 4 changes.
-- ARGV: 1 override, 2 max.
-- RETURNS: {done, now, when the first that is not shown is due or '', mark, found}, found being name, value or '', state or '', when due.
local schedules = KEYS[1]
local states = KEYS[2]
local due = KEYS[3]
local changes = KEYS[4]
local override = ARGV[1]
local max = tonumber(ARGV[2])

local now = clock(override)
local names = redis.call('ZRANGEBYSCORE', due, '-inf', whole(now), 'WITHSCORES', 'LIMIT', 0, max)
local found = {}
for at = 1, #names, 2 do
  local name = names[at]
  found[#found + 1] = name
  found[#found + 1] = redis.call('HGET', schedules, name) or ''
  found[#found + 1] = redis.call('HGET', states, name) or ''
  found[#found + 1] = names[at + 1]
end
local next_one = redis.call('ZRANGE', due, #names / 2, #names / 2, 'WITHSCORES')
local newest = redis.call('XREVRANGE', changes, '+', '-', 'COUNT', '1')
local mark = newest[1] and newest[1][1] or '0-0'
return {'done', whole(now), or_none(tonumber(next_one[2])), mark, found}
