-- What is stored of a schedule: its value in `schedules`, and its state in `schedules:state`, numbers with spaces between and the id of
-- its last job behind them.

-- The owner and the timetable in a value of `schedules`. What no celeriac wrote is kept by people.
local function parts_of(value)
  local owner, timetable = string.match(value, '^([^\n]*)\n([^\n]*)\n')
  return owner or '', timetable
end

-- A schedule that begins now.
local function new_state(now)
  return {revision = 1, paused = 0, last = now, fired = 0, missed = 0, skipped = 0, fired_at = 0, lag = 0, job = ''}
end

local FIELDS = {'revision', 'paused', 'last', 'fired', 'missed', 'skipped', 'fired_at', 'lag'}

-- Whether a state is there and can be read.
local function is_state(text)
  return text and string.find(text, '^%d+ %d+ %d+ %d+ %d+ %d+ %d+ %d+')
end

-- Reads a state; one that is missing or cannot be read is that of a schedule that begins now.
local function state_of(text, now)
  local state, rest = {}, text or ''
  for _, field in ipairs(FIELDS) do
    local number, more = string.match(rest, '^(%d+) ?(.*)$')
    if not number then
      return new_state(now)
    end
    state[field], rest = tonumber(number), more
  end
  state.job = rest
  return state
end

local function text_of(state)
  local parts = {}
  for at, field in ipairs(FIELDS) do
    parts[at] = whole(state[field])
  end
  parts[#parts + 1] = state.job
  return table.concat(parts, ' ')
end

-- Notes a change, for every beat that waits: each reads the stream from where it was.
local function tell_beats(changes, now)
  redis.call('XADD', changes, 'MAXLEN', '1', '*', 'at', whole(now))
end
