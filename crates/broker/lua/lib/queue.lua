-- Lists, wake tokens and the next due time.

-- Values in one command: unpack fails near 8,000 of them, and what was popped would then be lost.
local VALUES = 100

-- Runs `command` on `key` with all the values, some of them at a time.
local function in_chunks(command, key, values)
  for first = 1, #values, VALUES do
    redis.call(command, key, unpack(values, first, math.min(first + VALUES - 1, #values)))
  end
end

-- Leaves a token for one idle worker that waits for this queue, if there is none yet.
local function wake(list)
  if redis.call('LLEN', list) == 0 then
    redis.call('RPUSH', list, '1')
  end
end

-- The earliest due time, or nil.
local function next_due(scheduled)
  local first = redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')
  return tonumber(first[2])
end

-- A time for the answer: '' stands for none.
local function or_none(millis)
  return millis and whole(millis) or ''
end

-- Fails with WRONGTYPE, before anything is written, if one of the keys from `first` to `last` is no list.
local function expect_lists(first, last)
  for at = first, last do
    redis.call('LLEN', KEYS[at])
  end
end
