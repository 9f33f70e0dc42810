-- PURPOSE: shows how nodes of a workflow have ended; writes nothing.
-- PRECONDITION: none.
-- KEYS: 1 workflow.
-- ARGV: 1 max_bytes, 2 with_values; then the nodes.
-- RETURNS: {done, found}, for each node its kept end or '', and how many of its followers were dealt with; fewer than asked for if they
--   have more bytes than that, one at least.
local workflow = KEYS[1]
local max_bytes = tonumber(ARGV[1])
local with_values = ARGV[2]

local found, bytes, longest, at = {}, 0, 0, 3
-- Some at a time: first a few, then as many as fit if all are as long as the longest so far.
local step = 16
while at <= #ARGV do
  local fields, last = {}, math.min(at + step - 1, #ARGV)
  for node = at, last do
    local size = #fields
    fields[size + 1], fields[size + 2] = 'e' .. ARGV[node], 'a' .. ARGV[node]
  end
  local kept = redis.call('HMGET', workflow, unpack(fields))
  for place = 1, #kept, 2 do
    local text = kept[place] or ''
    longest = math.max(longest, #text)
    if with_values == '0' then
      text = string.sub(text, 1, 1)
    end
    bytes = bytes + #text
    if bytes > max_bytes and #found > 0 then
      return {'done', found}
    end
    local size = #found
    found[size + 1], found[size + 2] = text, kept[place + 1] or '0'
  end
  at = last + 1
  step = math.max(1, math.min(VALUES, math.floor((max_bytes - bytes) / math.max(longest, 1))))
end
return {'done', found}
