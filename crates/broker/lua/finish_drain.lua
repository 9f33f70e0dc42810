-- PURPOSE: forgets a condemned incarnation that holds nothing any more. What it holds without a record is no job and goes.
-- PRECONDITION: the incarnation is condemned.
-- KEYS: 1 lost, 2 running, 3 jobs, 4 control, 5 revoked.
-- ARGV: 1 incarnation.
-- RETURNS: {done} if it was forgotten, else {not-held}.
local lost = KEYS[1]
local running = KEYS[2]
local jobs = KEYS[3]
local control = KEYS[4]
local revoked = KEYS[5]
local incarnation = ARGV[1]

if not redis.call('ZSCORE', lost, incarnation) then
  return {'not-held'}
end
redis.call('HLEN', revoked)
local held, gone = held_in(running), {}
for at = 1, #held, 2 do
  if redis.call('HEXISTS', jobs, held[at]) == 0 then
    gone[#gone + 1] = held[at]
  end
end
let_go(running, gone)
in_chunks('HDEL', revoked, gone)
if holds_jobs(running) then
  return {'not-held'}
end
redis.call('ZREM', lost, incarnation)
redis.call('DEL', control)
return {'done'}
