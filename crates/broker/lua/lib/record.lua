-- The fixed bytes of a record that scripts may read and write; docs/redis-layout.md has the table.

-- An instant as the 6 bytes that stand for it in a record, highest first.
local function stamp(millis)
  local bytes = ''
  for _ = 1, 6 do
    bytes = string.char(millis % 256) .. bytes
    millis = math.floor(millis / 256)
  end
  return bytes
end

-- Whether the bytes are a record of format 1, as far as scripts must know.
local function is_readable(record)
  return #record >= 22 and string.byte(record, 13) == 49
end

-- Whether the state's letter is Q.
local function is_queued(record)
  return string.byte(record, 14) == 81
end

local function is_suspect(record)
  return math.floor(string.byte(record, 15) / 16) % 2 == 1
end

-- The same record, ready since the stamped instant.
local function made_ready(record, stamped)
  return string.sub(record, 1, 6) .. stamped .. string.sub(record, 13, 13) .. 'Q' .. string.sub(record, 15)
end
