-- PURPOSE: tries every command that celeriac uses, on a key that is gone afterwards, and says which ones the server refuses.
-- PRECONDITION: none.
-- KEYS: 1 probe.
-- ARGV: 1 finished, the channel on which ends are told; the message is empty, and who listens finds no id in it.
-- RETURNS: {done, commands that were refused and why, one after the other}.
local probe = KEYS[1]
local finished = ARGV[1]

local refused = {}
local function try(command, ...)
  local answer = redis.pcall(command, ...)
  if type(answer) == 'table' and answer.err then
    refused[#refused + 1] = command
    refused[#refused + 1] = answer.err
  end
end

-- Without it nothing may be written, because it would stay.
try('DEL', probe)
if #refused > 0 then
  return {'done', refused}
end

try('HSET', probe, 'a', 1)
try('HSETNX', probe, 'b', 1)
try('HINCRBY', probe, 'a', 1)
try('PEXPIRE', probe, 1000)
for _, command in ipairs({'HGET', 'HMGET', 'HEXISTS', 'HSTRLEN', 'HDEL'}) do
  try(command, probe, 'a')
end
try('HGETALL', probe)
try('HKEYS', probe)
try('HLEN', probe)
try('EXISTS', probe)
try('DEL', probe)

try('RPUSH', probe, 'a')
try('LPUSH', probe, 'a')
try('LINDEX', probe, 0)
try('LRANGE', probe, 0, 0)
try('LREM', probe, 1, 'none')
try('LTRIM', probe, 0, 1)
try('LLEN', probe)
try('LPOP', probe)
try('DEL', probe)

try('SADD', probe, 'a')
try('SMEMBERS', probe)
try('SMISMEMBER', probe, 'a')
try('SCARD', probe)
try('SREM', probe, 'a')
try('DEL', probe)

try('ZADD', probe, 1, 'a')
try('ZSCORE', probe, 'a')
try('ZMSCORE', probe, 'a')
try('ZRANGE', probe, 0, 0)
try('ZREVRANGE', probe, 0, 0)
try('ZRANGEBYSCORE', probe, 0, 0)
try('ZREVRANGEBYSCORE', probe, 0, 0)
try('ZCARD', probe)
try('ZREM', probe, 'a')
try('DEL', probe)

try('XADD', probe, 'MAXLEN', '1', '*', 'a', '1')
try('XLEN', probe)
try('XREVRANGE', probe, '+', '-', 'COUNT', '1')
try('XREAD', 'STREAMS', probe, '0-0')
try('DEL', probe)

try('UNLINK', probe)
try('TIME')
try('PUBLISH', finished, '')
return {'done', refused}
