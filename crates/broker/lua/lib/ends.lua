-- The kept ends of jobs: `ends` has id -> until when (6 bytes), then the outcome.

-- Whether the end of this job can still be read.
local function is_kept(ends, id, now)
  local kept = redis.call('HGET', ends, id)
  return kept and instant(kept, 1) > now
end

-- What a call keeps: `first_list` is the place of the key of the first list of ended jobs, `first_time` that of the argument with the
-- first time in ms.
local function begin_ends(ends, keeps, first_list, first_time)
  return {ends = ends, keeps = keeps, first_list = first_list, first_time = first_time, until_when = {}, kept = {}, pending = {}}
end

-- Keeps an end as long as the time at `place` says.
local function keep_end(batch, place, id, outcome, now)
  local kept = batch.kept[place]
  if not kept then
    kept = {}
    batch.kept[place] = kept
    batch.until_when[place] = stamp(math.min(now + tonumber(ARGV[batch.first_time + place - 1]), LATEST))
  end
  kept[#kept + 1] = id
  local size = #batch.pending
  batch.pending[size + 1], batch.pending[size + 2] = id, batch.until_when[place] .. outcome
end

-- Removes ends whose time is over from the front of a list of ended jobs, until so many were looked at; answers how many that
-- were. An item is what one call kept: until when, then the ids. An end that was written again since has another time.
local function expire_ends(ends, list, now, most)
  local looked_at = 0
  while looked_at < most do
    local item = redis.call('LINDEX', list, 0)
    if not item or instant(item, 1) > now then
      break
    end
    redis.call('LPOP', list)
    local until_when, over = string.sub(item, 1, 6), {}
    for id in string.gmatch(string.sub(item, 7), '%S+') do
      looked_at = looked_at + 1
      local kept = redis.call('HGET', ends, id)
      if kept and string.sub(kept, 1, 6) == until_when then
        over[#over + 1] = id
      end
    end
    in_chunks('HDEL', ends, over)
  end
  return looked_at
end

-- Writes what was kept, and tells who waits that it can be read. The last commands of a call; telling may fail: a user without the
-- right to publish costs waiting callers 5 seconds, no more.
local function finish_ends(batch, channel, now)
  in_chunks('HSET', batch.ends, batch.pending)
  local news
  for place, ids in pairs(batch.kept) do
    local list, names = KEYS[batch.first_list + place - 1], table.concat(ids, ' ')
    -- A list that was there is known: it is forgotten only when nothing is left in it.
    if redis.call('RPUSH', list, batch.until_when[place] .. names) == 1 then
      redis.call('SADD', batch.keeps, ARGV[batch.first_time + place - 1])
    end
    -- Twice as many as came may go, so that what is over never piles up behind a clean-up that comes every few minutes.
    expire_ends(batch.ends, list, now, 2 * #ids)
    news = news and news .. ' ' .. names or names
  end
  if news then
    redis.pcall('PUBLISH', channel, news)
  end
end
