-- PURPOSE: stores jobs that wait for one step.
-- PRECONDITION: the workflow is there and has not begun; else nothing happens.
-- KEYS: 1 workflow.
-- ARGV: for each job its node and its value, see lib/workflow.lua.
-- RETURNS: {done}.
local workflow = KEYS[1]

if redis.call('HGET', workflow, 'begun') == '0' then
  redis.call('HSET', workflow, 'waits', '1')
  for at = 1, #ARGV, 2 do
    redis.call('HSETNX', workflow, 'w' .. ARGV[at], ARGV[at + 1])
  end
end
return {'done'}
