-- The kept ends of jobs: `ends` has id -> until when (6 bytes), then the outcome.

-- Whether the end of this job can still be read.
local function is_kept(ends, id, now)
  local kept = redis.call('HGET', ends, id)
  return kept and instant(kept, 1) > now
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
