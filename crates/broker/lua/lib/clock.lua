-- The time of a call. Numbers are doubles here: exact up to 2^53, but tostring would cut them to 14 digits.

-- The last instant that fits the 6 bytes a record has for it.
local LATEST = 281474976710655

local function whole(number)
  return string.format('%.0f', number)
end

-- Answers milliseconds and microseconds: of the server, or of the manual clock whose milliseconds are in `override`.
local function clock(override)
  if override ~= '' then
    local millis = tonumber(override)
    return millis, millis * 1000
  end
  local time = redis.call('TIME')
  local seconds, micros = tonumber(time[1]), tonumber(time[2])
  return seconds * 1000 + math.floor(micros / 1000), seconds * 1000000 + micros
end
