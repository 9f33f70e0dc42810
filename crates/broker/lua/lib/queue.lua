-- Lists, levels, wake tokens and the next due time.

-- The keys of a queue stand together: its ready lists, of priority 0 to 9, then its suspects, then its wake list.
local SUSPECTS, WAKE, LISTS = 11, 12, 12

-- The place before the first list of the queue number `place`, the first of them having its first list at KEYS[first].
local function lists_of(first, place)
  return first - 1 + LISTS * (place - 1)
end

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

-- The value of a queue in `queues` is `1` (paused) or `0`, and then a digit for each priority other than 5 that it has ever
-- used, so that nobody looks at ten lists where one is in use.
local function is_paused(value)
  return value and string.byte(value, 1) == 49
end

-- The priorities a queue has used, the most urgent first, or the least urgent.
local function levels_of(value, lowest_first)
  local levels = {5}
  if value and #value > 1 then
    for at = 2, #value do
      levels[at] = string.byte(value, at) - 48
    end
    table.sort(levels, function(a, b)
      if lowest_first then
        return a < b
      end
      return a > b
    end)
  end
  return levels
end

-- Notes that a queue uses a priority.
local function use_level(queues, name, level)
  if level == 5 then
    return
  end
  local value, digit = redis.call('HGET', queues, name) or '0', string.char(48 + level)
  if not string.find(value, digit, 2, true) then
    redis.call('HSET', queues, name, value .. digit)
  end
end

-- Wakes a worker for each queue whose place is a key of `touched`.
local function wake_queues(touched, first)
  for place in pairs(touched) do
    wake(KEYS[lists_of(first, place) + WAKE])
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

-- The same for the lists of whole queues. Most use one priority, so that nothing is there for the others is asked at once.
local function expect_queues(first, last)
  local rare, used = {}, {}
  for lists = first - 1, last - 1, LISTS do
    for at = 1, LISTS do
      -- The list of priority 5, the suspects and the wake list.
      local kind = (at == 6 or at >= SUSPECTS) and used or rare
      kind[#kind + 1] = KEYS[lists + at]
    end
  end
  local there = 0
  for at = 1, #rare, VALUES do
    there = there + redis.call('EXISTS', unpack(rare, at, math.min(at + VALUES - 1, #rare)))
  end
  if there > 0 then
    return expect_lists(first, last)
  end
  for _, list in ipairs(used) do
    redis.call('LLEN', list)
  end
end
