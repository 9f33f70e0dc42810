-- PURPOSE: removes workflows that were kept long enough.
-- PRECONDITION: each is past its time, else nothing happens to it.
-- KEYS: 1 workflows, 2 untils; then the workflows.
-- ARGV: 1 override; then their ids.
-- RETURNS: {done, how many}.
local workflows = KEYS[1]
local untils = KEYS[2]
local override = ARGV[1]

redis.call('ZCARD', workflows)
local now = clock(override)
local removed = 0
for at = 2, #ARGV do
  local until_when = redis.call('ZSCORE', untils, ARGV[at])
  if until_when and tonumber(until_when) <= now then
    redis.call('ZREM', untils, ARGV[at])
    redis.call('ZREM', workflows, ARGV[at])
    redis.call('UNLINK', KEYS[at + 1])
    removed = removed + 1
  end
end
return {'done', removed}
