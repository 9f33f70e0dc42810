-- PURPOSE: enqueues the jobs of occurrences, and moves their schedules on, in one step: whoever comes second finds them moved.
-- PRECONDITION: each schedule has the revision and the last occurrence that were read, and is not paused; else nothing happens to it.
-- KEYS: 1 jobs, 2 queues, 3 ends, 4 unique, 5 states, 6 due; then for each queue its lists, see lib/queue.lua.
-- ARGV: 1 override, 2 queue_count; then the names of the queues; then for each schedule its name, its revision, its last occurrence, up to
--   when it is dealt with, when it is due next or '', when its newest job was due, how many occurrences are dropped, a flag that forbids
--   jobs while its last one has not ended, how many jobs follow, and for each job the place of its queue, its id, its record without
--   stamps, and its unique key or ''.
-- RETURNS: {done, answers}, for each schedule D (enqueued), S (skipped) or M (moved).
local jobs = KEYS[1]
local queues = KEYS[2]
local ends = KEYS[3]
local unique = KEYS[4]
local states = KEYS[5]
local due = KEYS[6]
local override = ARGV[1]
local queue_count = tonumber(ARGV[2])
local first_list = 7
local first_firing = 3 + queue_count

redis.call('HLEN', jobs)
redis.call('HLEN', queues)
redis.call('HLEN', ends)
redis.call('HLEN', unique)
redis.call('HLEN', states)
redis.call('ZCARD', due)
expect_queues(first_list, #KEYS)
local now = clock(override)
local stamps = stamp(now)
stamps = stamps .. stamps
local touched = {}

-- Whether a job has not ended: it has a record that says neither dead nor revoked.
local function is_unfinished(id)
  local record = id ~= '' and redis.call('HGET', jobs, id)
  local letter = record and string.sub(record, 14, 14)
  return letter and letter ~= 'D' and letter ~= 'R'
end

-- Enqueues a job, unless its id says that it was; says no if another job has its unique key.
local function enqueue(at)
  local place, id, record, key = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if redis.call('HEXISTS', jobs, id) == 1 or is_kept(ends, id, now) then
    return true
  end
  if key ~= '' and holder_of_key(unique, jobs, key) then
    return false
  end
  local name = ARGV[2 + place]
  put_ready(queues, name, jobs, id, stamps .. record, lists_of(first_list, place))
  redis.call('HSETNX', queues, name, '0')
  if key ~= '' then
    redis.call('HSET', unique, key, id)
  end
  touched[place] = true
  return true
end

local answers, at = {}, first_firing
while ARGV[at] do
  local name, revision, last = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local next_due, missed = ARGV[at + 4], tonumber(ARGV[at + 6])
  local job_count, first_job = tonumber(ARGV[at + 8]), at + 9
  local kept = redis.call('HGET', states, name)
  local state = state_of(kept, now)
  local answer = 'M'
  if not is_state(kept) and job_count == 0 and redis.call('ZSCORE', due, name) then
    -- Nobody could ever move it on, so it begins anew, and the next look finds out when it is due.
    redis.call('HSET', states, name, text_of(state))
    redis.call('ZADD', due, whole(now), name)
    answer = 'D'
  elseif kept and state.revision == revision and state.last == last and state.paused == 0 then
    answer = 'D'
    state.last, state.missed = tonumber(ARGV[at + 3]), state.missed + missed
    if job_count > 0 and ARGV[at + 7] == '1' and is_unfinished(state.job) then
      state.skipped = state.skipped + job_count
      answer = 'S'
    elseif job_count > 0 then
      for job = 0, job_count - 1 do
        local first = first_job + 4 * job
        if enqueue(first) then
          state.job, state.fired, state.fired_at = ARGV[first + 1], state.fired + 1, now
          state.lag = math.max(now - tonumber(ARGV[at + 5]), 0)
        else
          state.skipped = state.skipped + 1
        end
      end
    end
    redis.call('HSET', states, name, text_of(state))
    if next_due == '' then
      redis.call('ZREM', due, name)
    else
      redis.call('ZADD', due, next_due, name)
    end
  end
  answers[#answers + 1] = answer
  at = first_job + 4 * job_count
end
wake_queues(touched, first_list)
return {'done', table.concat(answers)}
