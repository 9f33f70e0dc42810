-- PURPOSE: removes ends that have been kept as long as they should be.
-- PRECONDITION: none; what is not over stays.
-- KEYS: 1 ends, 2 keeps; then the list of ended jobs of each time to keep ends.
-- ARGV: 1 override, 2 max; then the times, in the order of their lists.
-- RETURNS: {done, how many were removed}.
local ends = KEYS[1]
local keeps = KEYS[2]
local override = ARGV[1]
local max = tonumber(ARGV[2])

redis.call('HLEN', ends)
redis.call('SCARD', keeps)
expect_lists(3, #KEYS)
local now = clock(override)
local removed = 0

for at = 3, #KEYS do
  removed = removed + expire_ends(ends, KEYS[at], now, max - removed)
  if redis.call('EXISTS', KEYS[at]) == 0 then
    redis.call('SREM', keeps, ARGV[at])
  end
end
return {'done', whole(removed)}
