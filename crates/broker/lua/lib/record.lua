-- The fixed bytes of a record that scripts may read and write; docs/redis-layout.md has the table.

-- An instant as the 6 bytes that stand for it in a record, highest first.
local function stamp(millis)
  return struct.pack('>I6', millis)
end

-- The instant whose 6 bytes begin at a place.
local function instant(bytes, first)
  local millis = 0
  for at = first, first + 5 do
    millis = millis * 256 + string.byte(bytes, at)
  end
  return millis
end

-- Byte 13 of every record, `1`; byte 14 of one that is ready or running, `Q`, and of one that was revoked while its id stood in a
-- list, `R`; the bytes in front of the names.
local FORMAT, QUEUED, REVOKED, SHORTEST = 49, 81, 82, 22

-- Whether the bytes are a record of format 1, as far as scripts must know.
local function is_readable(record)
  return #record >= SHORTEST and string.byte(record, 13) == FORMAT
end

local function is_suspect(record)
  return math.floor(string.byte(record, 15) / 16) % 2 == 1
end

local function priority_of(record)
  return math.min(string.byte(record, 15) % 16, 9)
end

-- The same record, in another state since the stamped instant.
local function in_state(record, letter, stamped)
  return string.sub(record, 1, 6) .. stamped .. string.sub(record, 13, 13) .. letter .. string.sub(record, 15)
end

-- What stands for a job that was revoked while its id stood in a list: the fixed bytes and the names, without what only a handler reads.
local function tombstone(record, stamped)
  local flags = string.byte(record, 15) % 32
  local names_end = SHORTEST + string.byte(record, 21) + string.byte(record, 22)
  return string.sub(in_state(record, 'R', stamped), 1, 14) .. string.char(flags) .. string.sub(record, 16, names_end)
end

-- The same record, ready since the stamped instant.
local function made_ready(record, stamped)
  return in_state(record, 'Q', stamped)
end
